#include "airgap-bundle/sets/copy.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::sets {
namespace {

constexpr std::size_t read_size = std::size_t{256} << 10;
/// Between two reports, and between two pieces that are read back while they are in memory.
constexpr std::uint64_t copy_size = 4ULL << 20;

/// Some file systems cannot (FUSE, optical media); then the bytes come through us.
bool is_unable(int error) {
  return error == EXDEV || error == EINVAL || error == ENOSYS || error == EOPNOTSUPP;
}

Result<void> copy_through_memory(int in, std::uint64_t in_offset, int out, std::uint64_t out_offset,
                                 std::uint64_t size) {
  std::vector<std::byte> block(std::min<std::uint64_t>(read_size, size));
  for (std::uint64_t done = 0; done < size;) {
    const auto piece = std::span(block).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), size - done)));
    BP_CHECK(read_exactly_at(in, piece, in_offset + done));
    BP_CHECK(write_all_at(out, piece, out_offset + done));
    done += piece.size();
  }
  return {};
}

Result<void> copy_piece(int in, std::uint64_t in_offset, int out, std::uint64_t out_offset,
                        std::uint64_t size) {
  auto from = static_cast<off64_t>(in_offset);
  auto to = static_cast<off64_t>(out_offset);
  while (size > 0) {
    const auto n = ::copy_file_range(in, &from, out, &to, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && !is_unable(errno)) return fail(system_error(errno, "cannot copy"));
    // Nothing copied without an error: the source ends here, or the file system only says so.
    if (n <= 0) {
      return copy_through_memory(in, static_cast<std::uint64_t>(from), out,
                                 static_cast<std::uint64_t>(to), size);
    }
    size -= static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> hash_range(int fd, std::uint64_t offset, std::uint64_t size, Sha256& hash,
                        std::vector<std::byte>& block) {
  for (std::uint64_t done = 0; done < size;) {
    const auto piece = std::span(block).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), size - done)));
    BP_CHECK(read_exactly_at(fd, piece, offset + done));
    hash.update(piece);
    done += piece.size();
  }
  return {};
}

}  // namespace

Result<Digest> copy_range(int in, std::uint64_t in_offset, int out, std::uint64_t out_offset,
                          std::uint64_t size, std::uint64_t from,
                          const std::function<Result<void>(std::uint64_t done)>& advanced) {
  Sha256 hash;
  std::vector<std::byte> block(read_size);
  BP_CHECK(hash_range(out, out_offset, from, hash, block));
  for (auto done = from; done < size;) {
    const auto piece = std::min(copy_size, size - done);
    BP_CHECK(copy_piece(in, in_offset + done, out, out_offset + done, piece));
    BP_CHECK(hash_range(out, out_offset + done, piece, hash, block));
    done += piece;
    // The disk begins while the next piece comes; it is waited for at the end.
    (void)::sync_file_range(out, static_cast<off_t>(out_offset + done - piece),
                            static_cast<off_t>(piece), SYNC_FILE_RANGE_WRITE);
    BP_CHECK(advanced(done));
  }
  return hash.finish();
}

Result<void> on_all_processors(std::size_t count,
                               const std::function<Result<void>(std::size_t)>& action) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::optional<Error> error;
  const auto work = [&] {
    for (auto i = next++; i < count; i = next++) {
      auto done = action(i);
      if (done) continue;
      const std::lock_guard lock(mutex);
      if (!error) error = std::move(done).error();
      next = count;
    }
  };
  {
    std::vector<std::jthread> threads;
    const auto most = std::min<std::size_t>(std::thread::hardware_concurrency(), count);
    for (std::size_t i = 1; i < most; ++i) threads.emplace_back(work);
    work();
  }
  if (error) return fail(std::move(*error));
  return {};
}

}  // namespace bedplate::sets

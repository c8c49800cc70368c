#include "installer/apply/copy.hpp"

#include <algorithm>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::installer {
namespace {

constexpr std::uint64_t kBlock = std::uint64_t{1} << 20;

void advance(Progress* progress, std::uint64_t bytes) {
  if (progress != nullptr) progress->advance(bytes);
}

Result<void> flush(int fd, const std::filesystem::path& path) {
  if (::fsync(fd) != 0) return fail(system_error(errno, "cannot sync " + path.string()));
  return {};
}

}  // namespace

Result<Digest> digest_prefix(const std::filesystem::path& path, std::uint64_t size,
                             Progress* progress) {
  BP_TRY(const auto fd, open_file(path, O_RDONLY));
  (void)::posix_fadvise(fd.get(), 0, static_cast<off_t>(size), POSIX_FADV_DONTNEED);
  Sha256 hash;
  std::vector<std::byte> block(kBlock);
  for (std::uint64_t offset = 0; offset < size;) {
    const auto part = std::span(block).first(std::min(kBlock, size - offset));
    BP_CHECK_DURING("reading " + path.string(), read_exactly_at(fd.get(), part, offset));
    hash.update(part);
    offset += part.size();
    advance(progress, part.size());
  }
  return hash.finish();
}

Result<Digest> copy_to_device(const std::filesystem::path& from, std::uint64_t size,
                              const std::filesystem::path& device, Progress* progress) {
  BP_TRY(const auto source, open_file(from, O_RDONLY));
  BP_TRY(const auto target, open_file(device, O_RDWR));
  Sha256 hash;
  std::vector<std::byte> head(std::min(kBlock, size));
  std::vector<std::byte> block(kBlock);
  // What an earlier attempt left at the front goes first.
  BP_CHECK_DURING("writing " + device.string(),
                  write_all_at(target.get(), std::vector<std::byte>(head.size()), 0));
  BP_CHECK(flush(target.get(), device));
  for (std::uint64_t offset = 0; offset < size;) {
    const auto part = std::span(block).first(std::min(kBlock, size - offset));
    BP_CHECK_DURING("reading " + from.string(), read_exactly_at(source.get(), part, offset));
    hash.update(part);
    if (offset == 0) {
      std::ranges::copy(part, head.begin());
    } else {
      BP_CHECK_DURING("writing " + device.string(), write_all_at(target.get(), part, offset));
    }
    offset += part.size();
    advance(progress, part.size());
  }
  BP_CHECK(flush(target.get(), device));
  BP_CHECK_DURING("writing " + device.string(), write_all_at(target.get(), head, 0));
  BP_CHECK(flush(target.get(), device));
  return hash.finish();
}

Result<void> copy_to_fd(const std::filesystem::path& from, int to, Progress* progress) {
  BP_TRY(const auto source, open_file(from, O_RDONLY));
  std::vector<std::byte> block(kBlock);
  while (true) {
    const auto n = ::read(source.get(), block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(errno, "cannot read " + from.string()));
    if (n == 0) return {};
    BP_CHECK(write_all(to, std::span(block).first(static_cast<std::size_t>(n))));
    advance(progress, static_cast<std::uint64_t>(n));
  }
}

}  // namespace bedplate::installer

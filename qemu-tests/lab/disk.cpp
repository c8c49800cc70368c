#include "qemu-tests/lab/disk.hpp"

#include <algorithm>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::lab {
namespace {

constexpr std::uint64_t kUsualSize = 24ULL << 30;
constexpr std::size_t kRead = 1UL << 20;
constexpr std::size_t kBlock = 4096;

/// Which blocks of a sparse file are allocated is the file system's affair and changes without a
/// write: blocks of zeros count as holes, and every other one is named by its offset.
Result<void> digest_range(int fd, std::uint64_t begin, std::uint64_t end, Sha256& sha) {
  std::vector<std::byte> buffer(kRead);
  begin -= begin % kBlock;
  while (begin < end) {
    const auto part = std::span(buffer).first(std::min<std::uint64_t>(kRead, end - begin));
    BP_CHECK(read_exactly_at(fd, part, begin));
    for (std::size_t at = 0; at < part.size(); at += kBlock) {
      const auto block = part.subspan(at, std::min(kBlock, part.size() - at));
      if (std::ranges::all_of(block, [](std::byte b) { return b == std::byte{0}; })) continue;
      sha.update(fmt::format("{}\n", begin + at));
      sha.update(block);
    }
    begin += part.size();
  }
  return {};
}

}  // namespace

std::uint64_t disk_size(const DiskSelector& selector) {
  const auto size = std::max(kUsualSize, selector.min_size.value_or(0));
  return std::min(size, selector.max_size.value_or(size));
}

Result<void> make_disk(const std::filesystem::path& path, std::uint64_t size) {
  BP_TRY(auto fd, open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return fail(system_error(errno, "cannot make the disk " + path.string()));
  }
  return {};
}

Result<void> make_decoy(const std::filesystem::path& path, std::uint64_t size,
                        ProcessRunner& runner) {
  BP_TRY(const auto content, TemporaryDirectory::create("bedplate-decoy"));
  for (int i = 0; i < 8; ++i) {
    BP_CHECK(write_file_atomic(content.path() / fmt::format("letter-{}.txt", i),
                               fmt::format("Someone's letter number {}.\n", i)));
  }
  BP_TRY(const auto mke2fs, find_program("mke2fs", "e2fsprogs"));
  BP_CHECK(make_disk(path, size));
  BP_CHECK(runner.check({mke2fs.string(), "-q", "-t", "ext4", "-L", "someones-data", "-d",
                         content.path().string(), path.string()}));
  return {};
}

Result<Digest> digest_of_data(const std::filesystem::path& path) {
  BP_TRY(auto fd, open_file(path, O_RDONLY));
  Sha256 sha;
  off_t at = 0;
  for (;;) {
    const off_t begin = ::lseek(fd.get(), at, SEEK_DATA);
    if (begin < 0) break;  // ENXIO: no data after here
    at = ::lseek(fd.get(), begin, SEEK_HOLE);
    if (at < 0) return fail(system_error(errno, "cannot read " + path.string()));
    BP_CHECK(digest_range(fd.get(), static_cast<std::uint64_t>(begin),
                          static_cast<std::uint64_t>(at), sha));
  }
  return sha.finish();
}

Result<Firmware> find_firmware() {
  const std::filesystem::path folder = "/usr/share/OVMF";
  Firmware firmware{folder / "OVMF_CODE_4M.fd", folder / "OVMF_VARS_4M.fd"};
  std::error_code error;
  if (std::filesystem::exists(firmware.code, error) &&
      std::filesystem::exists(firmware.variables, error)) {
    return firmware;
  }
  return fail(ErrorKind::dependency,
              fmt::format("UEFI firmware {} not found", firmware.code.string()),
              "apt-get install ovmf");
}

Result<void> copy_variables(const Firmware& firmware, const std::filesystem::path& to) {
  std::error_code error;
  if (std::filesystem::exists(to, error)) return {};
  BP_TRY(const auto content, read_file(firmware.variables));
  return write_file_atomic(to, content, 0600);
}

}  // namespace bedplate::lab

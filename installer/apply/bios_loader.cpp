#include "installer/apply/bios_loader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::installer {
namespace {

constexpr std::size_t kSector = 512;
constexpr std::size_t kBootCode = 440;
constexpr std::size_t kCoreSector = 0x5c;  // boot.img: where the core's first sector is
constexpr std::size_t kDriveCheck = 0x66;  // boot.img: a jump that trusts the BIOS's drive number
constexpr std::size_t kBlockList = 0x1f4;  // core.img: where its second sector is
constexpr std::size_t kLargestCore = 1 << 20;

void put_u64(std::string& image, std::size_t offset, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) {
    image[offset + i] = static_cast<char>(value >> (8 * i) & 0xff);
  }
}

Result<std::string> read_at(int fd, std::size_t size, std::uint64_t offset) {
  std::string out(size, '\0');
  BP_CHECK(read_exactly_at(fd, std::as_writable_bytes(std::span(out)), offset));
  return out;
}

}  // namespace

Result<BiosLoader> make_bios_loader(std::string boot_image, std::string core_image,
                                    std::uint64_t core_offset) {
  if (boot_image.size() != kSector || core_image.size() <= kSector ||
      core_image.size() > kLargestCore) {
    return fail(ErrorKind::invalid, "the boot loader's BIOS images have an impossible size",
                "make the system image again with: bedplate image system");
  }
  const auto first = core_offset / kSector;
  put_u64(boot_image, kCoreSector, first);
  // As grub-install does for hard disks: some BIOSes hand over a wrong drive number.
  boot_image[kDriveCheck] = static_cast<char>(0x90);
  boot_image[kDriveCheck + 1] = static_cast<char>(0x90);
  put_u64(core_image, kBlockList, first + 1);
  boot_image.resize(kBootCode);
  return BiosLoader{std::move(boot_image), std::move(core_image)};
}

Result<bool> bios_loader_is_written(const std::filesystem::path& disk, const BiosLoader& loader,
                                    std::uint64_t core_offset) {
  BP_TRY(const auto fd, open_file(disk, O_RDONLY));
  BP_TRY(const auto code, read_at(fd.get(), loader.boot_code.size(), 0));
  BP_TRY(const auto core, read_at(fd.get(), loader.core.size(), core_offset));
  return code == loader.boot_code && core == loader.core;
}

Result<void> write_bios_loader(const std::filesystem::path& disk, const BiosLoader& loader,
                               std::uint64_t core_offset) {
  BP_TRY(const auto fd, open_file(disk, O_RDWR));
  BP_CHECK(write_all_at(fd.get(), as_byte_span(loader.core), core_offset));
  if (::fdatasync(fd.get()) != 0) return fail(system_error(errno, "cannot sync the boot loader"));
  BP_CHECK(write_all_at(fd.get(), as_byte_span(loader.boot_code), 0));
  if (::fdatasync(fd.get()) != 0) return fail(system_error(errno, "cannot sync the boot code"));
  return {};
}

}  // namespace bedplate::installer

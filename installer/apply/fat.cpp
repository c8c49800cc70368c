#include "installer/apply/fat.hpp"

#include <array>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::installer {
namespace {

// Boot sector of FAT32 (Microsoft's FAT specification 1.03).
constexpr std::uint64_t kBytesPerSector = 0x0b;
constexpr std::uint64_t kBackupBootSector = 0x32;
constexpr std::uint64_t kVolumeId = 0x43;
constexpr std::uint64_t kTypeText = 0x52;

Result<std::uint64_t> read_u16(int fd, std::uint64_t offset) {
  std::array<std::byte, 2> raw{};
  BP_CHECK(read_exactly_at(fd, raw, offset));
  return std::to_integer<std::uint64_t>(raw[0]) | std::to_integer<std::uint64_t>(raw[1]) << 8;
}

}  // namespace

Result<std::string> Fat::run(std::vector<std::string> argv, std::string_view input) const {
  argv.insert(argv.begin() + 1, {"-i", drive_});
  Command command;
  command.argv = std::move(argv);
  command.input = input;
  command.environment = {{"MTOOLSRC", "/dev/null"}, {"MTOOLS_SKIP_CHECK", "1"}};
  return runner_.check(command);
}

Result<void> Fat::format() {
  BP_CHECK_DURING("formatting the EFI system partition",
                  runner_.check({"mkfs.vfat", "-F", "32", "-n", "BEDPLATE", "-i", "00000000",
                                 device_.string()}));
  return sync_path(device_);
}

Result<void> Fat::seal(std::uint32_t volume_id) {
  BP_TRY(const auto fd, open_file(device_, O_RDWR));
  BP_TRY(const auto sector, read_u16(fd.get(), kBytesPerSector));
  BP_TRY(const auto backup, read_u16(fd.get(), kBackupBootSector));
  std::array<std::byte, 4> raw{};
  for (std::size_t i = 0; i < raw.size(); ++i) {
    raw[i] = static_cast<std::byte>(volume_id >> (8 * i) & 0xff);
  }
  if (backup != 0 && backup != 0xffff) {
    BP_CHECK(write_all_at(fd.get(), raw, backup * sector + kVolumeId));
  }
  BP_CHECK(write_all_at(fd.get(), raw, kVolumeId));
  return sync_path(device_);
}

std::optional<std::uint32_t> Fat::volume_id() const {
  auto fd = open_file(device_, O_RDONLY);
  if (!fd) return std::nullopt;
  std::array<std::byte, 5> type{};
  std::array<std::byte, 4> raw{};
  if (!read_exactly_at(fd->get(), type, kTypeText) || !read_exactly_at(fd->get(), raw, kVolumeId)) {
    return std::nullopt;
  }
  if (std::string_view(reinterpret_cast<const char*>(type.data()), type.size()) != "FAT32") {
    return std::nullopt;
  }
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    out |= std::to_integer<std::uint32_t>(raw[i]) << (8 * i);
  }
  return out;
}

Result<void> Fat::make_folder(std::string_view path) {
  // -D a: give up on a clash instead of asking.
  BP_CHECK(run({"mmd", "-D", "a", fmt::format("::{}", path)}));
  return sync_path(device_);
}

Result<void> Fat::put(const std::filesystem::path& from, std::string_view path) {
  BP_CHECK_DURING(fmt::format("writing {} to the EFI system partition", path),
                  run({"mcopy", "-D", "o", from.string(), fmt::format("::{}", path)}));
  return sync_path(device_);
}

Result<void> Fat::put_text(std::string_view content, std::string_view path) {
  BP_CHECK_DURING(fmt::format("writing {} to the EFI system partition", path),
                  run({"mcopy", "-D", "o", "-", fmt::format("::{}", path)}, content));
  return sync_path(device_);
}

Result<std::string> Fat::get(std::string_view path) const {
  return run({"mtype", fmt::format("::{}", path)});
}

}  // namespace bedplate::installer

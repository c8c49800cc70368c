#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/digest.hpp"
#include "core/process.hpp"
#include "core/result.hpp"

namespace bedplate::installer {

/// A FAT32 file system on a partition or in a file, worked on with mtools: nothing is mounted, so
/// it goes without the kernel's vfat. Each call flushes the device before it returns.
class Fat {
 public:
  Fat(const std::filesystem::path& device, ProcessRunner& runner)
      : Fat(device.string(), device, runner) {}
  /// `drive` as mtools_drive names it, on `device`: for get() and put() only.
  Fat(std::string drive, std::filesystem::path device, ProcessRunner& runner)
      : drive_(std::move(drive)), device_(std::move(device)), runner_(runner) {}

  /// New and empty, with volume id 0: not complete until seal().
  Result<void> format();
  /// Gives it its volume id: one sector, so that it is there or not. Until then a cut means
  /// starting over with format().
  Result<void> seal(std::uint32_t volume_id);
  /// The volume id, or nothing when this is no FAT32.
  std::optional<std::uint32_t> volume_id() const;

  Result<void> make_folder(std::string_view path);  ///< the parent must exist, it must not
  Result<void> put(const std::filesystem::path& from, std::string_view path);
  Result<void> put_text(std::string_view content, std::string_view path);
  /// The file's content. ErrorKind::process when it is not there.
  Result<std::string> get(std::string_view path) const;

 private:
  Result<std::string> run(std::vector<std::string> argv, std::string_view input = {}) const;
  std::string drive_;
  std::filesystem::path device_;
  ProcessRunner& runner_;
};

}  // namespace bedplate::installer

#pragma once

#include <filesystem>

#include "core/result.hpp"

namespace bedplate::installer {

/// An ext4 file system at a folder for as long as the object lives. A mount that an earlier attempt
/// left at the folder is removed first.
class Mount {
 public:
  static Result<Mount> ext4(const std::filesystem::path& device, const std::filesystem::path& at);
  Mount(Mount&& other) noexcept;
  Mount& operator=(Mount&&) = delete;
  ~Mount();

  const std::filesystem::path& path() const { return path_; }
  /// Syncs and unmounts. ErrorKind::io when something still uses it.
  Result<void> unmount();

 private:
  explicit Mount(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

/// Unmounts whatever is at the folder; nothing there is fine.
void unmount_leftover(const std::filesystem::path& at);

}  // namespace bedplate::installer

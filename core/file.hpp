#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <sys/types.h>

#include "core/result.hpp"

namespace bedplate {

/// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

/// open(2) with O_CLOEXEC; the error names the path.
Result<UniqueFd> open_file(const std::filesystem::path& path, int flags, mode_t mode = 0644);

/// The whole file. Refuses more than `limit` bytes (ErrorKind::invalid).
Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t limit = 64ULL << 20);

/// Reads exactly `out.size()` bytes at `offset`; a shorter file is ErrorKind::corrupt.
Result<void> read_exactly_at(int fd, std::span<std::byte> out, std::uint64_t offset);
/// Writes all of `data` (at the file position / at `offset`), through short writes and EINTR.
Result<void> write_all(int fd, std::span<const std::byte> data);
Result<void> write_all_at(int fd, std::span<const std::byte> data, std::uint64_t offset);

inline std::span<const std::byte> as_byte_span(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Replaces the file: temporary file in the same folder, fsync, rename, fsync of the folder. After
/// a power cut there is the old content or the new, never a mixture. The mode is set before any
/// byte is written, so a 0600 file is never readable by others.
Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view content,
                               mode_t mode = 0644);

/// fsync of a file or folder by path.
Result<void> sync_path(const std::filesystem::path& path);

/// mkdir -p with fsync of the parents that were made; existing folders are fine.
Result<void> make_directories(const std::filesystem::path& path, mode_t mode = 0755);

/// rm -rf; a missing path is fine.
Result<void> remove_tree(const std::filesystem::path& path);

/// A file under construction. Nothing is seen at `path` before commit(); a dropped one is removed.
class AtomicFile {
 public:
  /// Makes `path` + ".tmp.<pid>" in the same folder.
  static Result<AtomicFile> create(std::filesystem::path path, mode_t mode = 0644);
  AtomicFile(AtomicFile&&) noexcept = default;
  AtomicFile& operator=(AtomicFile&&) noexcept = default;
  ~AtomicFile();

  int fd() const { return fd_.get(); }
  const std::filesystem::path& temporary_path() const { return temporary_; }
  /// fsync, rename to the final path, fsync of the folder.
  Result<void> commit();

 private:
  AtomicFile(UniqueFd fd, std::filesystem::path final, std::filesystem::path temporary)
      : fd_(std::move(fd)), final_(std::move(final)), temporary_(std::move(temporary)) {}
  UniqueFd fd_;
  std::filesystem::path final_;
  std::filesystem::path temporary_;
};

/// Removes what killed processes left in a folder: files and folders called
/// "<prefix><process number>…" whose process is gone. A missing folder is fine.
Result<void> remove_abandoned(const std::filesystem::path& folder, std::string_view prefix);

/// A folder that is removed with its content at the end of the scope.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> create(std::string_view prefix);
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~TemporaryDirectory();
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

/// Free bytes that an unprivileged writer may use on the file system of `path`.
Result<std::uint64_t> free_space(const std::filesystem::path& path);

/// An exclusive advisory lock (flock) on a file that is made if missing; released with the object.
/// ErrorKind::conflict when another process holds it and `wait` is false.
class FileLock {
 public:
  static Result<FileLock> acquire(const std::filesystem::path& path, bool wait);

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// $BEDPLATE_CACHE, else $XDG_CACHE_HOME/bedplate, else ~/.cache/bedplate.
std::filesystem::path cache_directory();

}  // namespace bedplate

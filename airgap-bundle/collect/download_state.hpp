#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/digest.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// What is remembered of a file that comes from a URL.
struct DownloadState {
  std::string etag;          ///< as the server gave it
  std::string modified;      ///< Last-Modified
  std::uint64_t synced = 0;  ///< bytes of the part that are on the disk
  /// Of the whole, once it was there and nobody had named its digest.
  std::optional<Digest> digest;
  std::uint64_t size = 0;

  /// For If-Range: a strong entity tag, else the date, else nothing (RFC 9110, 13.1.5).
  std::string validator() const;
};

/// The files that a download has beside the blobs. Named by a hash, since a URL may be too long for
/// a name.
class DownloadFiles {
 public:
  DownloadFiles(const std::filesystem::path& folder, std::string_view url);
  const std::filesystem::path& part() const { return part_; }
  const std::filesystem::path& lock() const { return lock_; }

  /// Nothing remembered when there is no state, or one that cannot be read.
  DownloadState read() const;
  /// Replaces the state; old or new after a power cut.
  Result<void> write(const DownloadState& state) const;
  /// Part and state. Missing files are fine.
  void remove() const;
  void remove_part() const;
  void remove_lock() const;

 private:
  std::filesystem::path part_;
  std::filesystem::path state_;
  std::filesystem::path lock_;
};

}  // namespace bedplate::collect

#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/clock.hpp"
#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// Where uploads that have begun go on, kept across runs: one small file for each in
/// `<folder>/<digest of the registry's name>/`, for this user alone (0700, 0600), since who knows
/// an upload's address may write to it. Files are replaced as a whole, so being killed leaves the
/// old address or the new one. Thread-safe for different blobs.
///
/// Two runs that write to the same registry would disturb each other's uploads: the later one
/// remembers nothing. Neither does one whose folder cannot be written: nothing depends on it.
class UploadStore {
 public:
  /// Remembers nothing.
  UploadStore() = default;
  /// Drops what is older than a week: registries have forgotten it by then.
  static UploadStore open(const std::filesystem::path& folder, const std::string& registry,
                          Clock& clock);

  std::optional<std::string> find(const std::string& repository, const Digest& blob) const;
  void keep(const std::string& repository, const Digest& blob, const std::string& location) const;
  void forget(const std::string& repository, const Digest& blob) const;
  bool remembers() const { return lock_.has_value(); }

 private:
  std::filesystem::path file_of(const std::string& repository, const Digest& blob) const;

  std::filesystem::path folder_;
  std::optional<FileLock> lock_;
};

/// In the user's cache.
std::filesystem::path default_upload_folder();

}  // namespace bedplate::registry

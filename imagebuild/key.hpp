#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "core/digest.hpp"
#include "core/result.hpp"

namespace bedplate::image {

/// Names a result by everything that went into it, so that equal input finds the earlier result.
/// Order matters; parts are length-prefixed, so that no two different lists collide.
class KeyBuilder {
 public:
  /// `format` is raised whenever the code that makes the result changes what it makes.
  explicit KeyBuilder(std::string_view format) { add("format", format); }
  void add(std::string_view name, std::string_view value);
  /// Adds the digest of a file's content under `name`.
  Result<void> add_file(std::string_view name, const std::filesystem::path& path);
  /// 32 hex digits. The builder may not be used afterwards.
  std::string finish();

 private:
  Sha256 hash_;
};

/// The folder `parent/key`: as it is if it is there, else made by `make` in `parent/key.tmp.<pid>`,
/// synced and renamed. Two processes that want the same key wait for each other. A build that was
/// killed leaves a .tmp folder, which the next one for the same parent removes.
/// `remove` deletes a tree (the files may belong to subordinate ids).
struct CacheActions {
  std::function<Result<void>(const std::filesystem::path& folder)> make;
  std::function<Result<void>(const std::filesystem::path& folder)> remove;
};
Result<std::filesystem::path> cached(const std::filesystem::path& parent, const std::string& key,
                                     const CacheActions& actions);

/// Removes all but the `keep` most recently used entries of `parent`, never `key`.
Result<void> prune(const std::filesystem::path& parent, std::size_t keep, const std::string& key,
                   const CacheActions& actions);

}  // namespace bedplate::image

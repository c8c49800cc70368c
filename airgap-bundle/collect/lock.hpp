#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/collect/packages.hpp"
#include "airgap-bundle/collect/referrers.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "core/digest.hpp"
#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// Something of which only the content counts: a file, a chart's archive, a folder's tar.
struct LockedContent {
  Digest digest;
  std::uint64_t size = 0;  ///< bytes
};

/// An image that exists already.
struct LockedImage {
  Digest digest;                       ///< what the name stood for: an index or a manifest
  Digest manifest;                     ///< of the chosen platform; of several, the index again
  std::uint64_t size = 0;              ///< bytes of the manifest and everything it refers to
  std::vector<ReferrerKey> referrers;  ///< that are carried along, sorted
};

/// What a specification meant when it was resolved: `create` takes that and nothing else.
struct Lock {
  std::map<std::string, LockedImage> images;    ///< by name
  std::map<std::string, LockedContent> trees;   ///< by name: images made of folders (diff_id)
  std::map<std::string, LockedContent> files;   ///< "<artifact>/<path in it>"; docker archives too
  std::map<std::string, LockedContent> charts;  ///< "<chart>", and "<chart>/<values file>"
  std::map<std::string, LockedPackages> packages;  ///< by artifact

  /// Sorted JSON with a line for each field: made to be read in a review, and the same for the same
  /// content.
  std::string to_text() const;
  /// ErrorKind::invalid names the file and what is wrong in it.
  static Result<Lock> parse(std::string_view text, std::string_view file_name);

  /// Whether the content is the locked one. ErrorKind::not_found: the lock does not know it;
  /// corrupt: it is another one now.
  static Result<void> check(const std::map<std::string, LockedContent>& locked,
                            const std::string& name, const Digest& digest);
  /// What was locked for that item. ErrorKind::not_found: the lock does not know it; conflict: the
  /// specification wants something else by now.
  Result<LockedPackages> locked_packages(const std::string& name, const Json& asked) const;
  Result<void> check_image(const std::string& name, const Digest& digest,
                           const Digest& manifest) const;
};

/// How resolve() reaches what lies elsewhere.
struct Fetching {
  std::filesystem::path cache;   ///< folder of blobs by digest; empty: default_blob_cache()
  std::uint64_t limit_rate = 0;  ///< bytes a second; 0: as fast as they come
  unsigned workers = 8;          ///< files that are fetched at a time
};

/// Finds out what everything in the specification is now: asks registries for manifests, reads
/// files and folders, fetches files by URL, lets apt solve packages. No layer of a registry and no
/// package is fetched.
Result<Lock> resolve(const BundleSpec& spec, const std::filesystem::path& root,
                     const std::filesystem::path& helm, ProcessRunner& runner, Progress* progress,
                     const Fetching& fetching = {});

}  // namespace bedplate::collect

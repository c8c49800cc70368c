#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "airgap-bundle/collect/download.hpp"
#include "airgap-bundle/collect/files.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/collect/packages.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// Files artifacts whose content lies elsewhere: files by URL, and packages, each item of which
/// becomes an artifact with an apt repository. Afterwards they are as if they had always been
/// here.
class Gathering {
 public:
  /// Everything must outlive this. `lock` may be nothing.
  Gathering(const std::filesystem::path& root, const Lock* lock, const Downloads& downloads,
            ProcessRunner& runner, Progress* progress)
      : root_(root), lock_(lock), downloads_(downloads), runner_(runner), progress_(progress) {}

  /// Appends an artifact for each item under packages; its files come with find().
  void add_artifacts(BundleSpec& spec);

  /// Finds out which files there are, and which of them are on this machine; fetches none. Without
  /// a lock, apt is asked what packages to carry.
  Result<void> find(const BundleSpec& spec, ArtifactFiles& files);

  /// Bytes of all files; servers are asked where nobody has said how many.
  Result<std::uint64_t> size(const ArtifactFiles& files) const;

  /// The node payload alone: its programs tell what else is needed.
  Result<void> fetch_payload(ArtifactFiles& files, unsigned workers);

  /// Fetches the others and makes the indexes of packages. To be called after find(). The indexes
  /// lie in a folder that is removed with this object.
  Result<void> fetch(const BundleSpec& spec, ArtifactFiles& files, WallTime created_at,
                     unsigned workers);

 private:
  Result<LockedPackages> locked(const PackagesSpec& packages);

  const std::filesystem::path& root_;
  const Lock* lock_;
  const Downloads& downloads_;
  ProcessRunner& runner_;
  Progress* progress_;
  std::size_t first_ = 0;  ///< artifact that is made of packages
  std::vector<LockedPackages> packages_;
  std::optional<TemporaryDirectory> indexes_;
};

}  // namespace bedplate::collect

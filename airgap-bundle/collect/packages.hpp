#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/collect/files.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "core/clock.hpp"
#include "core/digest.hpp"
#include "core/json.hpp"
#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// A Debian package as the lock has it.
struct LockedPackage {
  std::string name;
  std::string version;
  std::string architecture;
  std::string path;       ///< below the mirror: "pool/main/j/jq/…"
  bool security = false;  ///< of the mirror for security updates
  Digest digest;
  std::uint64_t size = 0;  ///< bytes
};

/// What one item under `packages` stood for.
struct LockedPackages {
  Json asked;  ///< what the specification wanted; a lock that was made for something else is of no
               ///< use
  std::vector<LockedPackage> packages;  ///< sorted
};

/// "apt/<name>"
std::string artifact_name(const PackagesSpec& spec);

Json packages_json(const LockedPackages& packages);
/// ErrorKind::invalid says what is wrong.
Result<LockedPackages> parse_packages_json(const Json& value);

/// What the specification wants, for LockedPackages::asked. Mirrors are not in it: the same
/// packages may come from another one.
Result<Json> packages_asked(const PackagesSpec& spec, const std::filesystem::path& root);

/// Lets apt find out what has to be carried, for each architecture. Fetches lists, no packages.
Result<LockedPackages> solve_packages(const PackagesSpec& spec, const std::filesystem::path& root,
                                      ProcessRunner& runner, Progress* progress);

/// The packages as files of an artifact, to be fetched.
std::vector<ArtifactFile> package_files(const PackagesSpec& spec, const LockedPackages& locked);

/// Adds the indexes that make an apt repository of the packages, which are here by now:
/// dists/<suite>/Release and main/binary-<architecture>/Packages, written below `folder`. The same
/// packages and time give the same bytes.
Result<void> add_indexes(const PackagesSpec& spec, const LockedPackages& locked,
                         WallTime created_at, const std::filesystem::path& folder,
                         ProcessRunner& runner, std::vector<ArtifactFile>& files);

}  // namespace bedplate::collect

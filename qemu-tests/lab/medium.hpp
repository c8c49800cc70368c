#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/signature.hpp"

namespace bedplate::lab {

/// What the machines are installed from, and what of it the rehearsal itself needs.
struct Medium {
  std::filesystem::path iso;
  std::filesystem::path kubectl;  ///< the payload's own
  std::string bundle;             ///< "two-nodes 2026.11.0"
  std::string check_image;        ///< full reference of the bundle's BusyBox
  std::set<std::string> digests;  ///< "sha256:…" of everything in the bundle
};

/// Where a medium comes from: an ISO that is there, or the parts to make one of.
struct MediumSource {
  std::optional<std::filesystem::path> iso;
  std::optional<std::filesystem::path> system;  ///< folder of the system image
  std::optional<std::filesystem::path> bundle;  ///< without it: the one on the ISO
  std::filesystem::path site;
  std::filesystem::path secrets;
};

/// Returns the given ISO, or makes `folder`/site.iso with this same program.
Result<std::filesystem::path> find_iso(const MediumSource& source,
                                       const std::filesystem::path& folder, ProcessRunner& runner,
                                       Progress& progress);

/// Verifies the bundle's signature and takes kubectl out of its node payload into `folder`;
/// quick when that was done before.
Result<Medium> open_medium(const std::filesystem::path& iso, const MediumSource& source,
                           const std::vector<PublicKey>& trusted,
                           const std::filesystem::path& folder, ProcessRunner& runner,
                           Progress& progress);

}  // namespace bedplate::lab

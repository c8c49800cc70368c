#pragma once

#include <filesystem>
#include <vector>

#include "core/result.hpp"
#include "core/signature.hpp"
#include "core/site.hpp"
#include "installer/apply/bundle.hpp"
#include "installer/plan/plan.hpp"

namespace bedplate::installer {

/// What the medium's /bedplate folder says. Nothing big is read.
struct Medium {
  std::filesystem::path folder;  ///< "/run/medium/bedplate"
  Site site;
  SystemFacts system;
  BundleFacts bundle;
};

/// ErrorKind::untrusted when the site names a bundle key that this system does not accept, or the
/// bundle is not signed by one; not_found when the medium is not one of ours.
Result<Medium> read_medium(const std::filesystem::path& mount,
                           const std::vector<PublicKey>& trusted, BundleChecker& bundles);

}  // namespace bedplate::installer

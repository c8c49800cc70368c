#pragma once

#include <filesystem>

#include "airgap-bundle/collect/spec.hpp"
#include "core/process.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// Lets helm fetch a chart from its repository, and returns where the archive is, in `folder`. A
/// repository that `helm repo add` knows under the same URL is asked with that login; no password
/// is given as an argument. Helm does not compare a chart with the digest that the repository's
/// index has for it, so it is done here: ErrorKind::corrupt.
Result<std::filesystem::path> pull_from_repository(const ChartSpec& spec,
                                                   const std::filesystem::path& folder,
                                                   const std::filesystem::path& helm,
                                                   ProcessRunner& runner);

/// The one archive that `helm pull` has written into a folder; ErrorKind::not_found.
Result<std::filesystem::path> pulled_archive(const std::filesystem::path& folder);

}  // namespace bedplate::collect

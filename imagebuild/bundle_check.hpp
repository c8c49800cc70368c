#pragma once

#include <filesystem>
#include <vector>

#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::image {

/// The bundle's header is signed by one of these keys and the file is as long as the header says.
/// (The installer verifies every blob; here only what would make a medium useless is looked for.)
Result<void> check_bundle(const std::filesystem::path& bundle,
                          const std::vector<PublicKey>& trusted);

}  // namespace bedplate::image

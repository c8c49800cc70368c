#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "airgap-bundle/bundle/content.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::sets {

/// The signed header of a bundle, or of parts of one bundle with part 1 among them.
Result<bundle::SignedHeader> read_any_header(const std::vector<std::filesystem::path>& files,
                                             std::span<const PublicKey> trusted);
/// Every byte of a bundle, or of all parts of one.
Result<bundle::SignedHeader> verify_any(const std::vector<std::filesystem::path>& files,
                                        std::span<const PublicKey> trusted, Progress* progress);
/// Parts of one set, each by itself: accidents only, no signature.
Result<void> check_alone(const std::vector<std::filesystem::path>& files, Progress* progress);

/// "12 blobs (1.4 GiB) that its base must have".
std::string elsewhere_text(const bundle::Header& header);

}  // namespace bedplate::sets

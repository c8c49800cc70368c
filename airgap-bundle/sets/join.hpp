#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "airgap-bundle/bundle/content.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"
#include "core/space.hpp"

namespace bedplate::sets {

struct JoinOptions {
  std::vector<std::filesystem::path> parts;  ///< in any order; need not be all of them
  std::filesystem::path output;
};

/// What join() would need; writes nothing.
Result<std::vector<SpaceUse>> plan_join(const JoinOptions& options);

/// Puts the bundle together again, byte for byte. Parts may come one at a time, as media go through
/// one drive: what is there stays in "<output>.partial", and ErrorKind::not_found names the parts
/// that are still needed. With the last one everything is compared with the signature, and only
/// then is the bundle seen at `output`. May be killed at any time and called again; it goes on
/// where it was. Nothing is done when the bundle is there already. ErrorKind::corrupt names a
/// damaged part; io when there is not room enough; conflict while another process writes `output`.
Result<bundle::SignedHeader> join(const JoinOptions& options, std::span<const PublicKey> trusted,
                                  Progress* progress);

}  // namespace bedplate::sets

#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "airgap-bundle/bundle/content.hpp"
#include "airgap-bundle/bundle/format.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"
#include "core/space.hpp"

namespace bedplate::sets {

struct DiffOptions {
  std::filesystem::path bundle;  ///< the complete one
  bundle::BlobSizes have;        ///< what the site has
  std::filesystem::path output;
};
struct DiffPlan {
  std::uint64_t here = 0;       ///< bytes of blobs that are carried
  std::uint64_t elsewhere = 0;  ///< bytes of blobs that are left out
  std::vector<SpaceUse> space;
};

/// What diff() would carry; writes nothing.
Result<DiffPlan> plan_diff(const DiffOptions& options, std::span<const PublicKey> trusted);
/// Makes a differential bundle: what `have` lacks, every manifest that the header names, and the
/// signed header of the complete bundle. The same input gives the same bytes. Killed and called
/// again, it goes on where it was. ErrorKind::corrupt when a blob of the bundle is damaged.
Result<bundle::Header> diff(const DiffOptions& options, std::span<const PublicKey> trusted,
                            const PrivateKey& key, Progress* progress);

struct ApplyOptions {
  std::filesystem::path delta;
  std::vector<std::filesystem::path> bases;  ///< bundles; the output may be one of them
  std::filesystem::path output;
};
struct ApplyPlan {
  std::uint64_t from_delta = 0;  ///< bytes of blobs
  std::uint64_t from_bases = 0;  ///< bytes of blobs
  std::vector<SpaceUse> space;
};

/// What apply() would write. ErrorKind::not_found says how many blobs the bases lack, and which.
Result<ApplyPlan> plan_apply(const ApplyOptions& options, std::span<const PublicKey> trusted);
/// Puts the complete bundle together, byte for byte as it was signed, out of a differential bundle
/// and what it was made against. Every blob is compared with its digest where it has arrived. The
/// output is seen when it is complete; killed and called again, it goes on where it was.
/// ErrorKind::not_found names the first blobs that the bases lack, before anything is written;
/// corrupt names the file and the blob that is damaged; invalid when `delta` is complete by itself.
Result<bundle::SignedHeader> apply(const ApplyOptions& options, std::span<const PublicKey> trusted,
                                   Progress* progress);

}  // namespace bedplate::sets

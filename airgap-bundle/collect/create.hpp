#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "airgap-bundle/bundle/format.hpp"
#include "airgap-bundle/closure/proof.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "airgap-bundle/registry/access.hpp"
#include "core/clock.hpp"
#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::collect {

struct CreateOptions {
  std::filesystem::path root;  ///< paths of the specification are relative to it
  std::filesystem::path output;
  WallTime created_at{};
  std::filesystem::path helm;  ///< to render charts with; empty: the payload's, else that in PATH
  std::optional<Lock> lock;    ///< then everything must be as it says, and nothing else is taken
  ProcessRunner* runner = nullptr;  ///< needed for charts and for the proof
  unsigned workers = 8;             ///< blobs that are fetched at a time
  std::uint64_t limit_rate = 0;     ///< bytes a second from elsewhere; 0: as fast as they come
  /// Folder of blobs by digest; empty: layers are not kept, files by URL and packages go through
  /// default_blob_cache().
  std::filesystem::path cache;
  std::optional<registry::Patience> patience = std::nullopt;  ///< with registries; else as usual
  std::vector<std::filesystem::path> reuse;  ///< bundles of the same key whose blobs may be copied
  bundle::BlobSizes have;  ///< what the site has: not fetched, the bundle is a differential one
};

/// What a bundle will need, before anything of it is written.
struct SpacePlan {
  std::size_t images = 0;
  std::uint64_t known = 0;     ///< bytes of blobs whose size is known, with their tar headers
  std::uint64_t here = 0;      ///< of these, bytes that an earlier run, a bundle or the cache has
  std::uint64_t made = 0;      ///< bytes of what is still to be compressed: at most this
  std::uint64_t overhead = 0;  ///< header, indexes, manifests
  std::uint64_t written = 0;   ///< bytes of it that are on the disk already
  std::uint64_t free = 0;      ///< bytes on the file system of the output
  std::uint64_t longest_file = ~std::uint64_t{0};  ///< bytes that a file can have there
  std::uint64_t needed() const { return known + made + overhead - std::min(written, known); }
  /// The bundle is at least as long as this.
  std::uint64_t shortest() const { return known + overhead; }
};

/// Better a refusal now than a full disk in an hour: ErrorKind::io without room enough in `folder`,
/// unsupported when its file system cannot hold a file as long as the bundle will be.
Result<void> require_room(const SpacePlan& plan, const std::filesystem::path& folder);

struct Created {
  bundle::Header header;
  closure::Proof proof;
};

/// Asks every source what there is, and writes nothing.
Result<SpacePlan> plan_space(const BundleSpec& spec, const CreateOptions& options,
                             const PrivateKey& key);

/// Makes the bundle that the specification describes. Either the whole bundle is at `output`
/// afterwards or nothing has changed there. The same input and time give the same bytes. Killed and
/// called again, it goes on with the blobs that it had, to the byte (`<output>.partial`).
/// ErrorKind::io before anything is written when the file system has not enough room.
/// ErrorKind::not_found lists every image that a chart or kubeadm asks for and that is neither in
/// the bundle nor allowed to be missing; what can be known before anything is fetched is told then.
Result<Created> create_bundle(const BundleSpec& spec, const CreateOptions& options,
                              const PrivateKey& key, Progress* progress);

}  // namespace bedplate::collect

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "airgap-bundle/bundle/format.hpp"
#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "airgap-bundle/oci/descriptor.hpp"
#include "airgap-bundle/supply/claims.hpp"
#include "core/digest.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// What refers to an image and has more bytes than this, manifest and blobs together, is left out.
inline constexpr std::uint64_t largest_referrer = 64ULL << 20;

/// What identifies something that refers to an image; a lock keeps it.
struct ReferrerKey {
  Digest subject;
  Digest digest;    ///< of its manifest
  std::string tag;  ///< that finds it (cosign's "sha256-<hex>.sig"); may be empty
  friend auto operator<=>(const ReferrerKey&, const ReferrerKey&) = default;
};

/// A signature, an attestation, an SBOM: found, its manifest read, its blobs not yet.
struct Referrer {
  ReferrerKey key;
  std::string media_type;
  std::string artifact_type;
  std::string text;                    ///< its manifest, byte for byte
  std::vector<oci::Descriptor> blobs;  ///< configuration and layers
  bool signature = false;              ///< by it a policy can be satisfied, or another tool's
};

struct Referrers {
  std::vector<Referrer> list;      ///< in the order of their keys, each once
  std::vector<std::string> notes;  ///< what was left out, and why
};

/// An image of which is asked what refers to it.
struct Subjects {
  std::vector<Digest> manifests;  ///< that are taken, one for each platform
  std::vector<Document> indexes;  ///< that they were chosen from
};

/// Asks the source for all of it: the referrers API with its fallback tag (OCI
/// distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema"), cosign's tags `.sig`,
/// `.att` and `.sbom`, and BuildKit's attestations, which are children of the index. A source that
/// has none has none; one that cannot be asked is an error. What refers to a referrer is not asked
/// for.
Result<Referrers> find_referrers(ImageStore& store, const Subjects& image);

/// Exactly these, by digest. ErrorKind::not_found when one is gone.
Result<Referrers> locked_referrers(ImageStore& store, const std::vector<ReferrerKey>& keys);

/// Only those that `mode` carries.
std::vector<Referrer> carried(const std::vector<Referrer>& all, ReferrerMode mode);

/// Reads what is signed in them.
Result<std::vector<supply::SignedDocument>> signed_documents(ImageStore& store,
                                                             const std::vector<Referrer>& all);

/// As the header names it.
bundle::ReferrerEntry entry_of(const Referrer& referrer, const oci::Reference& image);

}  // namespace bedplate::collect

#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/bundle/format.hpp"
#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/registry/access.hpp"
#include "core/clock.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::sets {

inline constexpr std::string_view inventory_type = "application/vnd.bedplate.inventory.v1+json";

/// What a site has: what need not be carried there again.
struct Inventory {
  WallTime created_at{};
  std::vector<std::string> sources;      ///< where it was looked, for people
  bundle::BlobSizes blobs;               ///< manifests, configurations and layers
  std::map<std::string, Digest> images;  ///< by full reference

  /// Everything that a bundle holds; what it has elsewhere does not count.
  void add(const bundle::Reader& reader);
  /// The JSON that is signed: sorted keys, blobs by digest, images by name, no spaces.
  std::string to_text() const;
  /// ErrorKind::invalid names what is wrong in it; unsupported: a digest is not SHA-256.
  static Result<Inventory> parse(std::string_view text);
};

/// Adds what a registry's tags lead to: every repository of its catalog, every tag, every manifest,
/// and what they refer to. A manifest of an index that the registry does not have is no error; one
/// that cannot be read is left out with a warning. `host`: "harbor.site" or "127.0.0.1:5000".
/// Several repositories are asked at a time. ErrorKind::untrusted or unsupported, with a hint, when
/// the registry does not tell its catalog.
Result<void> add_registry(Inventory& inventory, const std::string& host,
                          const registry::Access& access, Progress* progress);

/// The inventory in its signed form (docs/bundle-format.md).
std::string sign_inventory(const Inventory& inventory, const PrivateKey& key);
/// ErrorKind::untrusted unless one of `trusted` signed it, or `unsigned_too`.
Result<Inventory> read_inventory(std::string_view text, std::span<const PublicKey> trusted,
                                 bool unsigned_too);

/// What the files together say that a site has: bundles and inventories, in any order.
Result<bundle::BlobSizes> read_have(const std::vector<std::string>& files,
                                    std::span<const PublicKey> trusted, bool unsigned_too);

}  // namespace bedplate::sets

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/clock.hpp"
#include "core/digest.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"

// The bundle file, byte for byte: docs/bundle-format.md is the specification.
namespace bedplate::bundle {

inline constexpr std::uint64_t tar_block = 512;
inline constexpr std::string_view header_name = "bedplate.header";
inline constexpr std::uint32_t format_version = 1;
/// magic 16, version 4, JSON length 8, key id 32, signature 64.
inline constexpr std::uint64_t preamble_size = 124;
/// No signed header is larger; what claims to be is refused before it is read.
inline constexpr std::uint64_t largest_header = 64ULL << 20;

/// One tar entry behind the header.
struct Entry {
  std::string path;  ///< "blobs/sha256/<hex>", "oci-layout", "index.json"
  Digest digest;
  std::uint64_t size = 0;    ///< bytes
  std::uint64_t offset = 0;  ///< of the content in the file; its tar header is 512 bytes before
};

struct ImageEntry {
  std::string name;  ///< full reference
  Digest digest;     ///< of the manifest
  std::string media_type;
  std::string provenance;  ///< where it came from, for people
  /// Of the index that the manifest was chosen from, which is in the bundle too, so that who asks
  /// for it by digest gets it; its other children are not.
  std::optional<Digest> index;
};

struct ArtifactEntry {
  std::string name;
  std::string version;
  Digest digest;  ///< of the artifact's manifest
  std::string provenance;
};

/// A Helm chart, and how it is to be installed.
struct ChartEntry {
  std::string name;  ///< of the release too
  std::string version;
  std::string name_space;
  Digest digest;                          ///< of the chart's manifest (Helm's OCI form)
  std::vector<Digest> values;             ///< of the values files, later ones win
  std::vector<std::string> api_versions;  ///< which the cluster has when it is installed
  std::string provenance;
};

/// An image that something names and that need not be here.
struct AllowanceEntry {
  std::string image;
  std::string reason;
};

/// Something that speaks about an image of the bundle: a signature, an attestation, an SBOM
/// (OCI distribution-spec 1.1, "Listing Referrers").
struct ReferrerEntry {
  std::string repository;  ///< "<registry>/<repository>" of the image
  Digest subject;          ///< manifest or index that it is about
  Digest digest;           ///< of its own manifest
  std::string media_type;  ///< of its own manifest
  std::string artifact_type;
  std::string tag;  ///< that finds it too, as cosign's "sha256-<hex>.sig" does; may be empty
};

/// A blob that belongs to the bundle's contents and is in the file of another bundle.
struct ElsewhereEntry {
  Digest digest;
  std::uint64_t size = 0;  ///< bytes
};

/// Blobs that somebody has.
using BlobSizes = std::map<Digest, std::uint64_t>;

struct Header {
  std::string name;
  std::string version;
  WallTime created_at{};
  std::vector<Entry> entries;  ///< in the order of the file
  std::vector<ImageEntry> images;
  std::vector<ArtifactEntry> artifacts;
  std::vector<ChartEntry> charts;
  std::vector<AllowanceEntry> allowances;
  std::vector<ReferrerEntry> referrers;
  /// Not empty in a differential bundle: what its base must have.
  std::vector<ElsewhereEntry> elsewhere;
  /// In a differential bundle: the blob that is the signed header of the complete one (preamble and
  /// JSON), from which it can be put together byte for byte, without a key.
  std::optional<Digest> complete;

  /// Appends to `entries`, so that find() knows it.
  void add(Entry entry);
  /// Makes find() know all of `entries` again.
  void reindex();
  /// The blob of that digest, or nothing.
  const Entry* find(const Digest& digest) const;
  const ArtifactEntry* artifact(std::string_view artifact_name) const;

 private:
  std::unordered_map<Digest, std::size_t, DigestHash> by_digest_;
};

std::string to_json_text(const Header& header);
/// Parses a header whose signature was verified. Still checks every field, so that a signer's
/// mistake cannot become a wrong read: ErrorKind::corrupt.
Result<Header> parse_header(std::string_view json);

struct Preamble {
  std::uint64_t json_length = 0;
  std::string key_id;     ///< 32 bytes
  std::string signature;  ///< 64 bytes
};

/// Preamble and JSON, ready to be written as the content of the first entry.
std::string sign_header(std::string_view json, const PrivateKey& key);
/// From the first 124 bytes of the entry's content. ErrorKind::corrupt: not a bundle;
/// unsupported: a later version.
Result<Preamble> parse_preamble(std::string_view bytes);
/// ErrorKind::untrusted unless one of `trusted` signed it. Returns that key.
Result<PublicKey> verify_header(const Preamble& preamble, std::string_view json,
                                std::span<const PublicKey> trusted);

/// The 512 bytes of a ustar header for a regular file (POSIX.1-1988; sizes of 8 GiB and more in
/// GNU's base-256 form). The same input gives the same bytes: mode 0644, owner 0, time 0.
std::string tar_header(std::string_view path, std::uint64_t size);

/// Size rounded up to whole tar blocks.
constexpr std::uint64_t padded(std::uint64_t size) {
  return (size + tar_block - 1) / tar_block * tar_block;
}

}  // namespace bedplate::bundle

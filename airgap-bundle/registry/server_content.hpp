#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "airgap-bundle/bundle/reader.hpp"
#include "core/clock.hpp"
#include "core/digest.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

using Readers = std::vector<std::shared_ptr<const bundle::Reader>>;

/// A manifest, checked against its digest and ready to be sent.
struct Document {
  std::string media_type;  ///< empty: the blob is no manifest
  std::string lines;       ///< its header fields
  std::string text;
};

/// A blob with its place in one of the bundles.
struct Blob {
  Blob(const Digest& of, const bundle::Reader& in, const bundle::Entry& at)
      : digest(of), reader(&in), offset(at.offset), size(at.size) {}
  Digest digest;
  const bundle::Reader* reader;
  std::uint64_t offset;
  std::uint64_t size;
  std::string_view media_type;  ///< as the header announces a manifest; else empty
  /// What was made of it when it was asked for as a manifest.
  mutable std::atomic<const Document*> document{nullptr};
};

struct Repository {
  struct Tag {
    const Blob* blob = nullptr;
    WallTime created_at{};  ///< of the bundle that it is from
  };
  struct Referrer {
    const Blob* blob = nullptr;
    const bundle::ReferrerEntry* entry = nullptr;
  };
  std::string registry;
  std::map<std::string, Tag, std::less<>> tags;  ///< sorted, as the specification wants them
  std::unordered_map<Digest, std::vector<Referrer>, DigestHash> referrers;  ///< by subject
};

/// What a set of bundles holds together. Made from their headers alone, so it takes no longer for
/// large bundles; manifests are read when somebody asks for them. Const members may be used by
/// several threads.
class Content {
 public:
  /// Of a tag that two bundles have, the one of the later `createdAt` counts; of two of the same
  /// time the first one given. ErrorKind::not_found names what a differential bundle needs and none
  /// of the others has; invalid: an image's name is no reference.
  static Result<std::shared_ptr<const Content>> merge(Readers readers);

  /// `name` within `registry`; without a registry the full name "<registry>/<repository>", or the
  /// bare one when a single registry has it. Nothing when there is none.
  const Repository* repository(std::string_view name, std::string_view registry) const;
  const Blob* blob(const Digest& digest) const;
  /// The blob as a manifest, or nothing when it is none. ErrorKind::corrupt: it is not what was
  /// signed.
  Result<const Document*> document(const Blob& blob) const;

  std::size_t bundle_count() const { return readers_.size(); }
  std::size_t blob_count() const { return blobs_.size(); }
  std::uint64_t blob_bytes() const { return blob_bytes_; }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  struct Names {
    const Repository* full = nullptr;
    std::vector<const Repository*> bare;
  };

  Result<void> check_elsewhere(const bundle::Reader& reader) const;
  Result<void> name_everything(const bundle::Reader& reader);
  void name_referrers(const bundle::Reader& reader);
  Repository& named(const std::string& registry, const std::string& repository);
  void announce(const Digest& digest, std::string_view media_type);
  void tag(Repository& repository, const std::string& tag, const Digest& digest, WallTime time);
  Result<Document> read(const Blob& blob) const;

  Readers readers_;
  std::unordered_map<Digest, Blob, DigestHash> blobs_;
  std::uint64_t blob_bytes_ = 0;
  std::map<std::string, Repository> repositories_;  ///< by "<registry>/<repository>"
  std::unordered_map<std::string, Names, TextHash, std::equal_to<>> names_;
  mutable std::mutex mutex_;  ///< of `documents_`
  mutable std::vector<std::unique_ptr<const Document>> documents_;
};

}  // namespace bedplate::registry

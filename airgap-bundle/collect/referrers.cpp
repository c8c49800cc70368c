#include "airgap-bundle/collect/referrers.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "core/json.hpp"
#include "core/progress.hpp"

namespace bedplate::collect {
namespace {

constexpr std::string_view cosign_suffixes[] = {"sig", "att", "sbom"};

/// Something that may refer to the image; its manifest is read when it was not already.
struct Candidate {
  ReferrerKey key;
  oci::Descriptor descriptor;
  std::optional<std::string> text;
  bool says_subject = false;  ///< its manifest must name the subject itself
};

/// Of one image, in memory at a time: anybody who may push there can attach more.
constexpr std::size_t most_referrers = 1000;
constexpr std::uint64_t most_bytes = 32ULL << 20;

std::string tag_of(const Digest& digest) {
  return "sha256-" + digest.hex();
}

std::string subject_of(const Json& manifest) {
  const auto subject = manifest.find("subject");
  return subject == manifest.end() ? "" : json_string_or(*subject, "digest", "");
}

/// A policy can be satisfied by it, or it is of Notary, whose signatures others check.
bool is_signature(const Referrer& referrer) {
  return std::ranges::any_of(referrer.blobs,
                             [](const oci::Descriptor& blob) {
                               return supply::is_signed_document(blob.media_type);
                             }) ||
         referrer.artifact_type == oci::media::notary_signature;
}

/// From its manifest. An error says why it cannot be carried.
Result<Referrer> read_referrer(const Candidate& candidate) {
  Referrer out;
  out.key = candidate.key;
  out.text = *candidate.text;
  BP_TRY(out.media_type, oci::manifest_media_type(out.text, candidate.descriptor.media_type));
  if (!oci::is_manifest(out.media_type)) {
    return fail(ErrorKind::unsupported, "it is an index of several");
  }
  BP_TRY(const auto value, parse_json(out.text, "its manifest"));
  if (candidate.says_subject && subject_of(value) != candidate.key.subject.str()) {
    return fail(ErrorKind::invalid, "it does not refer to the image");
  }
  BP_TRY(auto manifest, oci::parse_manifest(out.text));
  // OCI distribution-spec 1.1: what has no artifactType is of the type of its configuration.
  out.artifact_type = json_string_or(value, "artifactType", manifest.config.media_type);
  out.blobs = std::move(manifest.layers);
  out.blobs.push_back(std::move(manifest.config));
  out.signature = is_signature(out);
  std::uint64_t size = out.text.size();
  for (const auto& blob : out.blobs) {
    size += std::min(blob.size, largest_referrer + 1);  // no sum of what is claimed wraps around
    if (size > largest_referrer) {
      return fail(ErrorKind::unsupported, "it is larger than " + format_bytes(largest_referrer));
    }
  }
  return out;
}

class Search {
 public:
  explicit Search(ImageStore& store) : store_(store) {}

  Result<void> ask(const Digest& subject) {
    BP_TRY(const auto listed, store_.referrers(subject));
    for (const auto& descriptor : listed) {
      add({{subject, descriptor.digest, {}}, descriptor, {}, true});
    }
    for (const auto suffix : cosign_suffixes) {
      const auto tag = fmt::format("{}.{}", tag_of(subject), suffix);
      BP_TRY(auto document, store_.tagged(tag));
      if (!document) continue;
      Candidate found{{subject, document->descriptor.digest, tag}, document->descriptor, {}, false};
      found.text = std::move(document->text);
      add(std::move(found));
    }
    return {};
  }

  void add(Candidate candidate) {
    const auto same = std::pair(candidate.key.subject, candidate.key.digest);
    const auto [known, added] = candidates_.try_emplace(same, candidate);
    // Found both ways: the tag is worth knowing.
    if (!added && known->second.key.tag.empty()) known->second = std::move(candidate);
  }

  /// `all_needed`: what is not there, or cannot be carried, is an error and not a note.
  Result<Referrers> read(bool all_needed) {
    Referrers out;
    std::uint64_t bytes = 0;
    for (auto& [same, candidate] : candidates_) {
      bytes += candidate.text ? candidate.text->size() : candidate.descriptor.size;
      if (candidates_.size() > most_referrers || bytes > most_bytes) {
        return fail(ErrorKind::unsupported,
                    fmt::format("{} refer to it: at most {} with {} together are carried",
                                candidates_.size(), most_referrers, format_bytes(most_bytes)),
                    "`referrers: none` at the image does without them");
      }
      const auto& digest = candidate.key.digest;
      auto read = read_one(candidate);
      if (read) {
        out.list.push_back(std::move(*read));
        continue;
      }
      const auto kind = read.error().kind;
      const bool passing = kind == ErrorKind::not_found || kind == ErrorKind::unsupported ||
                           kind == ErrorKind::invalid;
      const auto what =
          fmt::format("{} about {}", candidate.key.tag.empty() ? digest.str() : candidate.key.tag,
                      candidate.key.subject.str());
      if (all_needed || !passing) return fail(std::move(read).error().during("reading " + what));
      out.notes.push_back(fmt::format("left out: {}: {}", what, read.error().what));
    }
    std::ranges::sort(out.list, {}, &Referrer::key);
    return out;
  }

 private:
  Result<Referrer> read_one(Candidate& candidate) {
    if (!candidate.text) {
      BP_TRY(candidate.text, store_.manifest(candidate.descriptor));
    }
    if (Digest::of(*candidate.text) != candidate.key.digest) {
      return fail(ErrorKind::corrupt, "the manifest is not what its digest says",
                  "the source is damaged or lies: fetch it again");
    }
    return read_referrer(candidate);
  }

  ImageStore& store_;
  std::map<std::pair<Digest, Digest>, Candidate> candidates_;
};

Result<std::string> read_blob(ImageStore& store, const oci::Descriptor& blob) {
  std::string out;
  BP_CHECK(store.blob(blob, 0, [&](std::span<const std::byte> data) -> Result<void> {
    if (out.size() + data.size() > blob.size) {
      return fail(ErrorKind::corrupt, "it is longer than its manifest says");
    }
    out.append(reinterpret_cast<const char*>(data.data()), data.size());
    return {};
  }));
  if (Digest::of(out) == blob.digest) return out;
  return fail(ErrorKind::corrupt, "it is not what its digest says",
              "the source is damaged or lies: fetch it again");
}

}  // namespace

Result<Referrers> find_referrers(ImageStore& store, const Subjects& image) {
  Search search(store);
  std::set<Digest> asked;
  for (const auto& index : image.indexes) {
    for (const auto& manifest : image.manifests) {
      BP_TRY(const auto attestations, oci::attestations_of(index.text, manifest));
      for (const auto& descriptor : attestations) {
        search.add({{manifest, descriptor.digest, {}}, descriptor, {}, false});
      }
    }
    if (asked.insert(index.descriptor.digest).second) {
      BP_CHECK(search.ask(index.descriptor.digest));
    }
  }
  for (const auto& manifest : image.manifests) {
    if (asked.insert(manifest).second) BP_CHECK(search.ask(manifest));
  }
  return search.read(false);
}

Result<Referrers> locked_referrers(ImageStore& store, const std::vector<ReferrerKey>& keys) {
  Search search(store);
  for (const auto& key : keys) {
    oci::Descriptor descriptor;
    descriptor.media_type = oci::media::manifest;
    descriptor.digest = key.digest;
    search.add({key, std::move(descriptor), {}, false});
  }
  auto out = search.read(true);
  if (!out) {
    return fail(std::move(out).error().with_hint(
        "run `bedplate bundle resolve`, and review what has changed"));
  }
  return out;
}

std::vector<Referrer> carried(const std::vector<Referrer>& all, ReferrerMode mode) {
  std::vector<Referrer> out;
  std::ranges::copy_if(all, std::back_inserter(out), [&](const Referrer& referrer) {
    return mode == ReferrerMode::all || (mode == ReferrerMode::signatures && referrer.signature);
  });
  return out;
}

Result<std::vector<supply::SignedDocument>> signed_documents(ImageStore& store,
                                                             const std::vector<Referrer>& all) {
  std::vector<supply::SignedDocument> out;
  std::uint64_t bytes = 0;
  for (const auto& referrer : all) {
    const auto& tag = referrer.key.tag;
    for (const auto& blob : referrer.blobs) {
      if (!supply::is_signed_document(blob.media_type)) continue;
      bytes += blob.size;
      if (bytes > most_bytes) {
        return fail(ErrorKind::unsupported,
                    fmt::format("its signatures and attestations have more than {}",
                                format_bytes(most_bytes)),
                    "ask whoever signs it to remove what is old");
      }
      supply::SignedDocument document{
          tag.empty() ? referrer.key.digest.str() : tag, blob.media_type, {}, {}};
      BP_TRY_DURING(document.content, "reading the signature " + document.where,
                    read_blob(store, blob));
      const auto found = blob.annotations.find(std::string(oci::annotation::cosign_signature));
      if (found != blob.annotations.end()) document.signature = found->second;
      out.push_back(std::move(document));
    }
  }
  return out;
}

bundle::ReferrerEntry entry_of(const Referrer& referrer, const oci::Reference& image) {
  return {image.registry + "/" + image.repository,
          referrer.key.subject,
          referrer.key.digest,
          referrer.media_type,
          referrer.artifact_type,
          referrer.key.tag};
}

}  // namespace bedplate::collect

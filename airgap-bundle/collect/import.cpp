#include "airgap-bundle/collect/import.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/supply/policy.hpp"

namespace bedplate::collect {
namespace {

constexpr std::uint64_t longest_config = 8ULL << 20;
constexpr int deepest_index = 3;

/// A tag may have moved since: a registry is asked for what the lock says.
ImageSpec pinned(ImageSpec image, const Lock& lock) {
  const auto locked = lock.images.find(image.name.str());
  if (image.source.kind != SourceKind::registry || locked == lock.images.end()) return image;
  if (auto reference = oci::Reference::parse(image.source.location)) {
    reference->digest = locked->second.digest;
    image.source.location = reference->str();
  }
  return image;
}

Result<void> check_digest(const oci::Descriptor& descriptor, std::string_view text) {
  if (text.size() == descriptor.size && Digest::of(text) == descriptor.digest) return {};
  return fail(ErrorKind::corrupt,
              fmt::format("the manifest {} is not what its digest says", descriptor.digest.str()),
              "the source is damaged or lies: fetch it again");
}

/// From what the name stands for down to the manifest of one platform. The indexes on the way are
/// appended.
Result<Document> find_manifest(ImageStore& store, Document document, const oci::Platform& platform,
                               std::vector<Document>& indexes) {
  for (int depth = 0; depth < deepest_index; ++depth) {
    BP_CHECK(check_digest(document.descriptor, document.text));
    BP_TRY(document.descriptor.media_type,
           oci::manifest_media_type(document.text, document.descriptor.media_type));
    if (oci::is_manifest(document.descriptor.media_type)) return document;
    BP_TRY(auto child, oci::choose_child(document.text, platform));
    indexes.push_back(document);
    document.descriptor = std::move(child);
    BP_TRY_DURING(document.text, fmt::format("reading the manifest for {}", platform.str()),
                  store.manifest(document.descriptor));
  }
  return fail(ErrorKind::unsupported, "the image's indexes are nested too deeply");
}

/// A configuration, in memory because it says which platform the image is for.
Result<std::string> read_config(ImageStore& store, const oci::Descriptor& blob) {
  if (blob.size > longest_config) {
    return fail(ErrorKind::invalid, "the image's configuration is too large");
  }
  std::string out;
  BP_CHECK(store.blob(blob, 0, [&](std::span<const std::byte> data) -> Result<void> {
    if (out.size() + data.size() > blob.size) {
      return fail(ErrorKind::corrupt, "the configuration is longer than its manifest says");
    }
    out.append(reinterpret_cast<const char*>(data.data()), data.size());
    return {};
  }));
  BP_CHECK(check_digest(blob, out));
  return out;
}

/// The manifest of one platform.
struct Chosen {
  Document document;
  oci::Manifest manifest;
  std::vector<oci::Platform> platforms;  ///< that were asked for and led here

  const Digest& digest() const { return document.descriptor.digest; }
};

/// What was chosen, and the indexes that it was chosen from.
struct Found {
  std::unique_ptr<ImageStore> store;
  std::vector<Chosen> chosen;     ///< one for each platform, each manifest once
  std::vector<Document> indexes;  ///< the one that the name stands for first
  bool several = false;           ///< the name stands for the index

  const Digest& digest() const {
    return indexes.empty() ? manifest() : indexes.front().descriptor.digest;
  }
  const Digest& manifest() const { return chosen.front().digest(); }
  /// What the name stands for in the bundle.
  const Document& named() const { return several ? indexes.front() : chosen.front().document; }

  Subjects subjects() const {
    Subjects out;
    for (const auto& one : chosen) out.manifests.push_back(one.digest());
    out.indexes = indexes;
    return out;
  }
};

/// A bundle's image is named by its manifest, and says which index that was chosen from.
Result<void> find_kept_index(const Document& root, Found& found) {
  const auto said = root.descriptor.annotations.find(std::string(oci::annotation::upstream_index));
  if (said == root.descriptor.annotations.end() || !found.indexes.empty()) return {};
  Document index;
  BP_TRY(index.descriptor.digest, Digest::parse(said->second));
  BP_TRY_DURING(index.text, "reading the index that the bundle keeps",
                found.store->manifest(index.descriptor));
  index.descriptor.size = index.text.size();
  BP_CHECK(check_digest(index.descriptor, index.text));
  BP_TRY(index.descriptor.media_type, oci::manifest_media_type(index.text, oci::media::index));
  BP_TRY(const auto children, oci::listed_descriptors(index.text));
  if (std::ranges::find(children, found.manifest(), &oci::Descriptor::digest) == children.end()) {
    return fail(ErrorKind::corrupt, "the index that is said to have the image does not have it");
  }
  found.indexes.push_back(std::move(index));
  return {};
}

Result<Found> find_image(const ImageSpec& image, const Sources& sources, HttpClient& http) {
  Found out;
  out.several = !image.platforms.empty();
  const auto wanted = out.several ? image.platforms : std::vector{image.platform};
  BP_TRY(out.store, open_store(image, sources, http));
  BP_TRY(const auto root, out.store->root());
  std::set<Digest> known;
  for (const auto& text : wanted) {
    BP_TRY(const auto platform, oci::Platform::parse(text));
    std::vector<Document> indexes;
    BP_TRY(auto document, find_manifest(*out.store, root, platform, indexes));
    for (auto& index : indexes) {
      if (known.insert(index.descriptor.digest).second) out.indexes.push_back(std::move(index));
    }
    auto same = std::ranges::find(out.chosen, document.descriptor.digest, &Chosen::digest);
    if (same == out.chosen.end()) {
      BP_TRY(auto manifest, oci::parse_manifest(document.text));
      same = out.chosen.insert(same, {std::move(document), std::move(manifest), {}});
    }
    same->platforms.push_back(platform);
  }
  if (!out.several) BP_CHECK(find_kept_index(root, out));
  if (out.several && out.indexes.empty()) {
    return fail(ErrorKind::invalid, "the image is for one platform, and several are asked for",
                "give `platform` instead of `platforms`");
  }
  // With one platform nobody comes by the inner ones.
  if (!out.several && out.indexes.size() > 1) out.indexes.resize(1);
  return out;
}

/// Everything that refers to the image, as far as it matters: to be carried, or to be checked.
Result<Referrers> referrers_of(const Found& found, const ImageSpec& image,
                               const LockedImage* locked, bool policy) {
  if (image.referrers == ReferrerMode::none && !policy) return Referrers{};
  if (locked != nullptr && image.referrers != ReferrerMode::none) {
    return locked_referrers(*found.store, locked->referrers);
  }
  BP_TRY_DURING(auto out, "asking what refers to the image",
                find_referrers(*found.store, found.subjects()));
  return out;
}

Result<void> check_policy(const Found& found, const ImageSpec& image, const Sources& sources,
                          const Referrers& referrers) {
  supply::SignedImage signed_image;
  signed_image.name = image.name;
  if (image.source.kind == SourceKind::registry) {
    BP_TRY(signed_image.source, oci::Reference::parse(image.source.location));
  }
  for (const auto& one : found.chosen) {
    signed_image.manifests.push_back(one.digest());
    signed_image.texts[one.digest()] = one.document.text;
  }
  if (!found.indexes.empty()) {
    signed_image.index = found.digest();
    signed_image.texts[found.digest()] = found.indexes.front().text;
  }
  BP_TRY(signed_image.documents, signed_documents(*found.store, referrers.list));
  return sources.policy->check(signed_image);
}

/// What refers to the image and is carried, after the policy has had its say.
Result<Referrers> trusted_referrers(const Found& found, const ImageSpec& image,
                                    const Sources& sources, const LockedImage* locked) {
  const bool policy = sources.policy != nullptr && sources.policy->concerns(image.name);
  BP_TRY(auto out, referrers_of(found, image, locked, policy));
  if (policy) BP_CHECK(check_policy(found, image, sources, out));
  out.list = carried(out.list, image.referrers);
  return out;
}

}  // namespace

Result<std::unique_ptr<ImageStore>> open_store(const ImageSpec& image, const Sources& sources,
                                               HttpClient& http) {
  switch (image.source.kind) {
    case SourceKind::oci_layout:
      return open_layout(image, sources.root / image.source.location);
    case SourceKind::oci_archive:
      return open_archive(image, sources.root / image.source.location);
    case SourceKind::registry:
      return open_registry(image, sources.registries, http);
    case SourceKind::rootfs:
    case SourceKind::docker_archive:
      break;
  }
  return fail(ErrorKind::internal, "this source has no store");
}

Result<LockedImage> resolve_image(const ImageSpec& image, const Sources& sources, HttpClient& http,
                                  std::vector<std::string>& notes) {
  BP_TRY(const auto found, find_image(image, sources, http));
  BP_TRY(auto referrers, trusted_referrers(found, image, sources, nullptr));
  LockedImage out;
  out.manifest = found.named().descriptor.digest;
  out.digest = found.digest();
  for (const auto& index : found.indexes) out.size += index.text.size();
  for (const auto& one : found.chosen) {
    out.size += one.document.text.size() + one.manifest.config.size;
    for (const auto& layer : one.manifest.layers) out.size += layer.size;
  }
  for (const auto& referrer : referrers.list) out.referrers.push_back(referrer.key);
  notes.insert(notes.end(), referrers.notes.begin(), referrers.notes.end());
  return out;
}

Result<PlannedImage> plan_image(const ImageSpec& image, const Sources& sources, const Lock* lock,
                                HttpClient& http) {
  PlannedImage out;
  out.source = lock == nullptr ? image : pinned(image, *lock);
  BP_TRY(auto found, find_image(out.source, sources, http));
  const auto& named = found.named().descriptor;
  if (lock != nullptr) {
    BP_CHECK(lock->check_image(image.name.str(), found.digest(), named.digest));
  }
  const auto* locked = lock == nullptr ? nullptr : &lock->images.at(image.name.str());
  BP_TRY(auto referrers, trusted_referrers(found, image, sources, locked));
  out.image = {named.digest, named.media_type, found.named().text.size(), {}};
  if (!found.several && !found.indexes.empty()) {
    out.image.index = {found.digest(), found.indexes.front().text.size()};
  }
  for (auto& one : found.chosen) {
    BP_TRY_DURING(auto config, "reading the image's configuration",
                  read_config(*found.store, one.manifest.config));
    for (const auto& platform : one.platforms) BP_CHECK(oci::check_platform(config, platform));
    out.documents.push_back(std::move(config));
    out.documents.push_back(std::move(one.document.text));
    std::ranges::move(one.manifest.layers, std::back_inserter(out.layers));
  }
  for (auto& index : found.indexes) out.documents.push_back(std::move(index.text));
  for (const auto& referrer : referrers.list) {
    out.documents.push_back(referrer.text);
    out.layers.insert(out.layers.end(), referrer.blobs.begin(), referrer.blobs.end());
  }
  out.referrers = std::move(referrers.list);
  out.notes = std::move(referrers.notes);
  return out;
}

Result<Imported> finish_image(bundle::Writer& writer, const PlannedImage& plan) {
  for (const auto& document : plan.documents) BP_CHECK(writer.add(document));
  return plan.image;
}

}  // namespace bedplate::collect

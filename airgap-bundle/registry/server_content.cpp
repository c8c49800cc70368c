#include "airgap-bundle/registry/server_content.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/oci/reference.hpp"

namespace bedplate::registry {
namespace {

/// As large as registries let a manifest be (OCI distribution-spec 1.1, "Pushing Manifests").
constexpr std::size_t most_named = 10;

/// What a blob that is no manifest is remembered as.
const Document no_manifest;

}  // namespace

Result<std::shared_ptr<const Content>> Content::merge(Readers readers) {
  auto content = std::make_shared<Content>();
  content->readers_ = std::move(readers);
  for (const auto& reader : content->readers_) {
    for (const auto& entry : reader->header().entries) {
      if (reader->header().find(entry.digest) != &entry) continue;  // oci-layout, index.json
      const auto [at, added] =
          content->blobs_.try_emplace(entry.digest, entry.digest, *reader, entry);
      if (added) content->blob_bytes_ += entry.size;
    }
  }
  for (const auto& reader : content->readers_) BP_CHECK(content->check_elsewhere(*reader));
  for (const auto& reader : content->readers_) {
    BP_CHECK_DURING("serving bundle " + reader->path().string(), content->name_everything(*reader));
  }
  for (const auto& [full, repository] : content->repositories_) {
    content->names_[full].full = &repository;
    content->names_[full.substr(repository.registry.size() + 1)].bare.push_back(&repository);
  }
  return content;
}

Result<void> Content::check_elsewhere(const bundle::Reader& reader) const {
  const auto& header = reader.header();
  std::size_t missing = 0;
  std::string list;
  for (const auto& wanted : header.elsewhere) {
    const auto* found = blob(wanted.digest);
    if (found != nullptr && found->size == wanted.size) continue;
    if (++missing > most_named) continue;
    list += fmt::format("\n  {} ({} bytes)", wanted.digest.str(), wanted.size);
    for (const auto& image : header.images) {
      if (image.digest == wanted.digest || image.index == wanted.digest) list += " " + image.name;
    }
  }
  if (missing == 0) return {};
  if (missing > most_named) list += fmt::format("\n  and {} more", missing - most_named);
  return fail(ErrorKind::not_found,
              fmt::format("bundle {} ({} {}) holds only what its base has not; no served bundle "
                          "has these blobs of the base:{}",
                          reader.path().string(), header.name, header.version, list),
              "serve the bundle that it was made against as well");
}

Repository& Content::named(const std::string& registry, const std::string& repository) {
  auto& out = repositories_[registry + "/" + repository];
  out.registry = registry;
  return out;
}

void Content::announce(const Digest& digest, std::string_view media_type) {
  if (const auto found = blobs_.find(digest); found != blobs_.end()) {
    found->second.media_type = media_type;
  }
}

void Content::tag(Repository& repository, const std::string& tag, const Digest& digest,
                  WallTime time) {
  const auto* found = blob(digest);
  if (tag.empty() || found == nullptr) return;
  const auto [at, added] = repository.tags.try_emplace(tag, Repository::Tag{found, time});
  if (!added && at->second.created_at < time) at->second = {found, time};
}

Result<void> Content::name_everything(const bundle::Reader& reader) {
  const auto& header = reader.header();
  for (const auto& image : header.images) {
    BP_TRY(const auto reference, oci::Reference::parse(image.name));
    announce(image.digest, image.media_type);
    tag(named(reference.registry, reference.repository), reference.tag, image.digest,
        header.created_at);
  }
  for (const auto& artifact : header.artifacts) {
    announce(artifact.digest, oci::media::manifest);
    tag(named("localhost", "bedplate/" + artifact.name), artifact.version, artifact.digest,
        header.created_at);
  }
  for (const auto& chart : header.charts) {
    announce(chart.digest, oci::media::manifest);
    auto version = chart.version;  // a tag has no '+': Helm writes '_' for it
    std::ranges::replace(version, '+', '_');
    tag(named("localhost", "charts/" + chart.name), version, chart.digest, header.created_at);
  }
  name_referrers(reader);
  return {};
}

void Content::name_referrers(const bundle::Reader& reader) {
  for (const auto& entry : reader.header().referrers) {
    const auto* found = blob(entry.digest);
    const auto slash = entry.repository.find('/');
    if (found == nullptr || slash == std::string::npos) continue;
    announce(entry.digest, entry.media_type);
    auto& repository = named(entry.repository.substr(0, slash), entry.repository.substr(slash + 1));
    tag(repository, entry.tag, entry.digest, reader.header().created_at);
    auto& list = repository.referrers[entry.subject];
    if (std::ranges::find(list, found, &Repository::Referrer::blob) == list.end()) {
      list.push_back({found, &entry});
    }
  }
}

const Repository* Content::repository(std::string_view name, std::string_view registry) const {
  const auto found = names_.find(name);
  if (found == names_.end()) return nullptr;
  const auto& bare = found->second.bare;
  if (!registry.empty()) {
    const auto in = std::ranges::find(bare, registry, &Repository::registry);
    return in == bare.end() ? nullptr : *in;
  }
  if (found->second.full != nullptr) return found->second.full;
  return bare.size() == 1 ? bare.front() : nullptr;
}

const Blob* Content::blob(const Digest& digest) const {
  const auto found = blobs_.find(digest);
  return found == blobs_.end() ? nullptr : &found->second;
}

Result<const Document*> Content::document(const Blob& blob) const {
  const auto* known = blob.document.load(std::memory_order_acquire);
  if (known == nullptr) {
    const std::lock_guard lock(mutex_);
    known = blob.document.load(std::memory_order_relaxed);
    if (known == nullptr) {
      BP_TRY(auto made, read(blob));
      known = &no_manifest;
      if (!made.media_type.empty()) {
        known = documents_.emplace_back(std::make_unique<Document>(std::move(made))).get();
      }
      blob.document.store(known, std::memory_order_release);
    }
  }
  return known == &no_manifest ? nullptr : known;
}

/// Without a media type when the blob is no manifest.
Result<Document> Content::read(const Blob& blob) const {
  Document out;
  if (blob.size > oci::longest_manifest) return out;
  BP_TRY(out.text, blob.reader->blob(blob.digest, oci::longest_manifest));
  out.media_type = blob.media_type;
  if (out.media_type.empty()) {
    // Not announced, but perhaps the index that an image was chosen from, or the child of one.
    auto type = out.text.starts_with('{') ? oci::manifest_media_type(out.text, "")
                                          : Result<std::string>(std::string());
    if (!type || type->empty()) return Document{};
    out.media_type = std::move(*type);
  }
  const auto digest = blob.digest.str();
  out.lines = fmt::format(
      "Content-Type: {}\r\nDocker-Content-Digest: {}\r\nETag: \"{}\"\r\n"
      "Docker-Distribution-Api-Version: registry/2.0\r\n",
      out.media_type, digest, digest);
  return out;
}

}  // namespace bedplate::registry

#include "airgap-bundle/collect/import.hpp"

#include <fmt/format.h>

#include "airgap-bundle/collect/docker_archive.hpp"
#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/oci/manifest.hpp"

namespace bedplate::collect {
namespace {

constexpr std::uint64_t longest_config = 8ULL << 20;
constexpr int deepest_index = 3;

Result<std::unique_ptr<ImageStore>> open_store(const ImageSpec& image,
                                               const std::filesystem::path& root) {
  switch (image.source.kind) {
    case SourceKind::oci_layout:
      return open_layout(image, root / image.source.location);
    case SourceKind::oci_archive:
      return open_archive(image, root / image.source.location);
    case SourceKind::registry:
      return open_registry(image);
    case SourceKind::rootfs:
    case SourceKind::docker_archive:
      break;
  }
  return fail(ErrorKind::internal, "this source has no store");
}

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

/// From what the name stands for down to the manifest of one platform.
Result<Document> find_manifest(ImageStore& store, const oci::Platform& platform,
                               std::optional<Document>& index) {
  BP_TRY(auto document, store.root());
  for (int depth = 0; depth < deepest_index; ++depth) {
    BP_CHECK(check_digest(document.descriptor, document.text));
    BP_TRY(document.descriptor.media_type,
           oci::manifest_media_type(document.text, document.descriptor.media_type));
    if (oci::is_manifest(document.descriptor.media_type)) return document;
    BP_TRY(auto child, oci::choose_child(document.text, platform));
    if (depth == 0) index = document;
    document.descriptor = std::move(child);
    BP_TRY_DURING(document.text, fmt::format("reading the manifest for {}", platform.str()),
                  store.manifest(document.descriptor));
  }
  return fail(ErrorKind::unsupported, "the image's indexes are nested too deeply");
}

class Copier {
 public:
  Copier(bundle::Writer& writer, ImageStore& store, Progress* progress)
      : writer_(writer), store_(store), progress_(progress) {}

  Result<void> copy(const oci::Descriptor& blob) {
    BP_CHECK_DURING("copying blob " + blob.digest.str(),
                    writer_.add_known({blob.digest, blob.size}, [&](const auto& sink) {
                      return store_.blob(blob,
                                         [&](std::span<const std::byte> data) -> Result<void> {
                                           if (progress_ != nullptr)
                                             progress_->advance(data.size());
                                           return sink(data);
                                         });
                    }));
    return {};
  }

  /// The configuration, in memory because it says which platform the image is for.
  Result<std::string> text(const oci::Descriptor& blob) {
    if (blob.size > longest_config) {
      return fail(ErrorKind::invalid, "the image's configuration is too large");
    }
    std::string out;
    BP_CHECK(store_.blob(blob, [&](std::span<const std::byte> data) -> Result<void> {
      if (out.size() + data.size() > blob.size) {
        return fail(ErrorKind::corrupt, "the configuration is longer than its manifest says");
      }
      out.append(reinterpret_cast<const char*>(data.data()), data.size());
      return {};
    }));
    BP_CHECK(check_digest(blob, out));
    return out;
  }

 private:
  bundle::Writer& writer_;
  ImageStore& store_;
  Progress* progress_;
};

}  // namespace

Result<LockedImage> resolve_image(const ImageSpec& image, const std::filesystem::path& root) {
  BP_TRY(const auto platform, oci::Platform::parse(image.platform));
  BP_TRY(const auto store, open_store(image, root));
  std::optional<Document> index;
  BP_TRY(const auto document, find_manifest(*store, platform, index));
  BP_TRY(const auto manifest, oci::parse_manifest(document.text));
  LockedImage out;
  out.manifest = document.descriptor.digest;
  out.digest = index ? index->descriptor.digest : out.manifest;
  out.size = document.text.size() + manifest.config.size + (index ? index->text.size() : 0);
  for (const auto& layer : manifest.layers) out.size += layer.size;
  return out;
}

Result<Imported> import_image(bundle::Writer& writer, const ImageSpec& image,
                              const std::filesystem::path& root, const Lock* lock,
                              Progress* progress) {
  if (image.source.kind == SourceKind::docker_archive) {
    return import_docker_archive(writer, image, root / image.source.location);
  }
  BP_TRY(const auto platform, oci::Platform::parse(image.platform));
  BP_TRY(const auto store, open_store(lock == nullptr ? image : pinned(image, *lock), root));
  std::optional<Document> index;
  BP_TRY(const auto document, find_manifest(*store, platform, index));
  if (lock != nullptr) {
    const auto& digest = document.descriptor.digest;
    BP_CHECK(
        lock->check_image(image.name.str(), index ? index->descriptor.digest : digest, digest));
  }
  BP_TRY(const auto manifest, oci::parse_manifest(document.text));
  Copier copier(writer, *store, progress);
  BP_TRY_DURING(const auto config, "reading the image's configuration",
                copier.text(manifest.config));
  BP_CHECK(oci::check_platform(config, platform));
  BP_CHECK(writer.add(config));
  for (const auto& layer : manifest.layers) BP_CHECK(copier.copy(layer));
  BP_CHECK(writer.add(document.text));
  Imported out{
      document.descriptor.digest, document.descriptor.media_type, document.text.size(), {}};
  if (index) {
    BP_TRY(out.index, writer.add(index->text));
  }
  return out;
}

}  // namespace bedplate::collect

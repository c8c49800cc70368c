#include "airgap-bundle/collect/docker_archive.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "airgap-bundle/collect/compress.hpp"
#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/oci/tar_index.hpp"
#include "core/json.hpp"

namespace bedplate::collect {
namespace {

constexpr std::uint64_t longest_document = 8ULL << 20;

Result<std::string> read_text(const oci::TarIndex& archive, const std::string& path) {
  BP_TRY(const auto member, archive.find(path));
  if (member.size > longest_document) return fail(ErrorKind::invalid, path + " is too large");
  std::string out(member.size, '\0');
  BP_CHECK(read_exactly_at(archive.fd(), std::as_writable_bytes(std::span(out.data(), out.size())),
                           member.offset));
  return out;
}

std::vector<std::string> strings(const Json& object, const char* key) {
  std::vector<std::string> out;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return out;
  for (const auto& item : *found) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

/// Docker's and skopeo's archives differ in whether they write "busybox:1" or the full name.
std::string full_name(const std::string& name) {
  const auto slash = name.find('/');
  if (slash == std::string::npos) return "docker.io/library/" + name;
  const auto first = name.substr(0, slash);
  const bool host = first.find_first_of(".:") != std::string::npos || first == "localhost";
  return host ? name : "docker.io/" + name;
}

Result<Json> choose(const Json& manifests, const ImageSpec& image) {
  const auto& wanted = image.source.selector.empty() ? image.name.str() : image.source.selector;
  std::string known;
  for (const auto& item : manifests) {
    for (const auto& tag : strings(item, "RepoTags")) {
      if (full_name(tag) == full_name(wanted)) return item;
      known += (known.empty() ? "" : ", ") + tag;
    }
  }
  if (image.source.selector.empty() && manifests.size() == 1) return manifests[0];
  return fail(image.source.selector.empty() ? ErrorKind::ambiguous : ErrorKind::not_found,
              fmt::format("the archive has no image '{}'", wanted),
              fmt::format("add :NAME to the source; there are: {}", known));
}

/// The layer compressed into the bundle; its diff_id must be the one that is promised.
Result<oci::Descriptor> add_layer(bundle::Writer& writer, const oci::TarIndex& archive,
                                  const std::string& path, const std::string& diff_id) {
  BP_TRY(const auto member, archive.find(path));
  Sha256 hash;
  const auto fill = [&](const bundle::Writer::Sink& sink) -> Result<void> {
    ZstdStream stream(sink);
    BP_CHECK(feed_range(archive.fd(), member.offset, member.size,
                        [&](std::span<const std::byte> data) -> Result<void> {
                          hash.update(data);
                          return stream.write(data);
                        }));
    return stream.finish();
  };
  BP_TRY(const auto blob, writer.add_stream(fill));
  if (hash.finish().str() != diff_id) {
    return fail(ErrorKind::corrupt,
                fmt::format("{} is not the layer that the configuration names", path),
                "save the image again; if the archive is an OCI layout too, use oci-archive:");
  }
  return oci::Descriptor{std::string(oci::media::layer_zstd), blob.digest, blob.size, {}, {}, {}};
}

}  // namespace

Result<Imported> import_docker_archive(bundle::Writer& writer, const ImageSpec& image,
                                       const std::filesystem::path& file) {
  BP_TRY(const auto archive, oci::TarIndex::read(file));
  BP_TRY(const auto text, read_text(archive, "manifest.json"));
  BP_TRY(const auto manifests, parse_json(text, "manifest.json"));
  if (!manifests.is_array()) return fail(ErrorKind::invalid, "manifest.json must be a list");
  BP_TRY(const auto chosen, choose(manifests, image));
  BP_TRY(const auto config_path, json_string(chosen, "Config"));
  BP_TRY(const auto config, read_text(archive, config_path));
  BP_TRY(const auto platform, oci::Platform::parse(image.platform));
  BP_CHECK(oci::check_platform(config, platform));
  BP_TRY(const auto config_value, parse_json(config, config_path));
  const auto diff_ids = strings(config_value.value("rootfs", Json::object()), "diff_ids");
  const auto paths = strings(chosen, "Layers");
  if (paths.size() > oci::most_layers) {
    return fail(ErrorKind::invalid, fmt::format("the image has {} layers; {} are allowed",
                                                paths.size(), oci::most_layers));
  }
  if (paths.empty() || paths.size() != diff_ids.size()) {
    return fail(ErrorKind::corrupt, fmt::format("the archive has {} layers, its configuration {}",
                                                paths.size(), diff_ids.size()));
  }
  auto layers = Json::array();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    BP_TRY(const auto layer, add_layer(writer, archive, paths[i], diff_ids[i]));
    layers.push_back(oci::descriptor_json(layer));
  }
  BP_TRY(const auto config_blob, writer.add(config));
  const oci::Descriptor config_descriptor{
      std::string(oci::media::config), config_blob.digest, config_blob.size, {}, {}, {}};
  const Json manifest{{"schemaVersion", 2},
                      {"mediaType", oci::media::manifest},
                      {"config", oci::descriptor_json(config_descriptor)},
                      {"layers", std::move(layers)}};
  BP_TRY(const auto blob, writer.add(manifest.dump()));
  return Imported{blob.digest, std::string(oci::media::manifest), blob.size, {}};
}

}  // namespace bedplate::collect

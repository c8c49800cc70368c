#include "airgap-bundle/oci/manifest.hpp"

#include <ranges>
#include <set>

#include <fmt/format.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "core/json.hpp"

namespace bedplate::oci {
namespace {

Result<Json> parse_document(std::string_view text) {
  BP_TRY(auto value, parse_json(text, "the manifest"));
  if (!value.is_object()) return fail(ErrorKind::invalid, "the manifest is not a JSON object");
  return value;
}

Result<std::vector<Descriptor>> parse_descriptors(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) {
    return fail(ErrorKind::invalid, fmt::format("field '{}' must be a list", key));
  }
  std::vector<Descriptor> out;
  for (const auto& item : *found) {
    BP_TRY(auto descriptor, parse_descriptor(item));
    out.push_back(std::move(descriptor));
  }
  return out;
}

bool is_attestation(const Descriptor& child) {
  return child.annotations.contains(std::string(annotation::docker_reference_type));
}

/// What images for an architecture are built for when they do not say (containerd's `platforms`).
std::string_view usual_variant(std::string_view architecture) {
  if (architecture == "arm64") return "v8";
  return architecture == "arm" ? "v7" : "";
}

/// How well what is offered is what is wanted; 0: not at all.
int fitness(const Platform& offered, const Platform& wanted) {
  if (!offered.matches(wanted)) return 0;
  if (offered.variant == wanted.variant) return 3;
  const auto& said = wanted.variant.empty() ? offered.variant : wanted.variant;
  return said == usual_variant(wanted.architecture) ? 2 : 1;
}

}  // namespace

bool is_index(std::string_view media_type) {
  return media_type == media::index || media_type == media::docker_list;
}

bool is_manifest(std::string_view media_type) {
  return media_type == media::manifest || media_type == media::docker_manifest;
}

Result<std::string> manifest_media_type(std::string_view text, std::string_view announced) {
  BP_TRY(const auto value, parse_document(text));
  auto type = json_string_or(value, "mediaType", announced);
  const auto schema = value.find("schemaVersion");
  if (type == media::docker_schema1 || type == media::docker_schema1_signed ||
      (schema != value.end() && *schema == 1)) {
    return fail(ErrorKind::unsupported, "the image is in Docker's schema 1, given up in 2019",
                "copy it once with `skopeo copy --format oci`, then name the copy as the source");
  }
  if (is_index(type) || is_manifest(type)) return type;
  // Both are optional in OCI documents; the lists tell them apart.
  if (value.contains("manifests")) return std::string(media::index);
  if (value.contains("layers")) return std::string(media::manifest);
  return fail(ErrorKind::unsupported, fmt::format("'{}' is not an image", type));
}

Result<Manifest> parse_manifest(std::string_view text) {
  BP_TRY(const auto value, parse_document(text));
  Manifest manifest;
  const auto config = value.find("config");
  if (config == value.end()) return fail(ErrorKind::invalid, "the manifest has no configuration");
  BP_TRY(manifest.config, parse_descriptor(*config));
  BP_TRY(manifest.layers, parse_descriptors(value, "layers"));
  if (manifest.layers.size() > most_layers) {
    return fail(ErrorKind::invalid, fmt::format("the image has {} layers; {} are allowed",
                                                manifest.layers.size(), most_layers));
  }
  return manifest;
}

Result<Descriptor> choose_child(std::string_view index, const Platform& platform) {
  BP_TRY(const auto value, parse_document(index));
  BP_TRY(const auto children, parse_descriptors(value, "manifests"));
  std::set<std::string> known;
  const Descriptor* best = nullptr;
  for (const auto& child : children) {
    if (!child.platform || is_attestation(child)) continue;
    const int fits = fitness(*child.platform, platform);
    if (fits > 0 && (best == nullptr || fits > fitness(*best->platform, platform))) best = &child;
    if (child.platform->os != "unknown") known.insert(child.platform->str());
  }
  if (best != nullptr) return *best;
  // An index of one image that does not say what it is for: its configuration will.
  if (children.size() == 1 && !children.front().platform) return children.front();
  std::string list;
  constexpr std::size_t most_names = 20;  // a hint, not a catalogue
  for (const auto& name : known | std::views::take(most_names)) {
    list += (list.empty() ? "" : ", ") + name;
  }
  if (known.size() > most_names) list += fmt::format(" and {} more", known.size() - most_names);
  return fail(ErrorKind::not_found, fmt::format("the image does not exist for {}", platform.str()),
              list.empty() ? std::string() : fmt::format("it exists for: {}", list));
}

Result<std::vector<Descriptor>> attestations_of(std::string_view index, const Digest& manifest) {
  BP_TRY(auto children, listed_descriptors(index));
  std::erase_if(children, [&](const Descriptor& child) {
    const auto about = child.annotations.find(std::string(annotation::docker_reference_digest));
    return !is_attestation(child) || about == child.annotations.end() ||
           about->second != manifest.str();
  });
  return children;
}

Result<std::vector<Descriptor>> listed_descriptors(std::string_view index) {
  BP_TRY(const auto value, parse_document(index));
  std::vector<Descriptor> out;
  const auto found = value.find("manifests");
  if (found == value.end() || !found->is_array()) return out;
  for (const auto& item : *found) {
    if (auto descriptor = parse_descriptor(item)) out.push_back(std::move(*descriptor));
  }
  return out;
}

Result<void> check_platform(std::string_view config, const Platform& platform) {
  BP_TRY(const auto value, parse_json(config, "the image's configuration"));
  const Platform actual{json_string_or(value, "os", ""), json_string_or(value, "architecture", ""),
                        json_string_or(value, "variant", "")};
  if (actual.matches(platform)) return {};
  return fail(ErrorKind::invalid,
              fmt::format("the image is for {}, not for {}", actual.str(), platform.str()),
              "name an image for that platform, or set `platform` in the specification");
}

}  // namespace bedplate::oci

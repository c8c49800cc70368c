#include "airgap-bundle/oci/descriptor.hpp"

#include <fmt/format.h>

#include "core/json.hpp"

namespace bedplate::oci {
namespace {

/// No blob is larger. What claims to be would overflow the sums of sizes.
constexpr std::uint64_t largest_blob = 16ULL << 40;

}  // namespace

Result<Platform> Platform::parse(std::string_view text) {
  const auto slash = text.find('/');
  Platform platform;
  if (slash != std::string_view::npos) {
    platform.os = text.substr(0, slash);
    auto rest = text.substr(slash + 1);
    const auto second = rest.find('/');
    platform.architecture = rest.substr(0, second);
    if (second != std::string_view::npos) platform.variant = rest.substr(second + 1);
  }
  if (platform.os.empty() || platform.architecture.empty() || text.ends_with('/') ||
      platform.variant.find('/') != std::string::npos) {
    return fail(ErrorKind::invalid, fmt::format("'{}' is not a platform", text),
                "write it as system/architecture, for example linux/amd64");
  }
  return platform;
}

std::string Platform::str() const {
  return variant.empty() ? os + "/" + architecture : os + "/" + architecture + "/" + variant;
}

bool Platform::matches(const Platform& other) const {
  return os == other.os && architecture == other.architecture &&
         (variant.empty() || other.variant.empty() || variant == other.variant);
}

nlohmann::json annotations_json(const Annotations& annotations) {
  auto object = Json::object();
  for (const auto& [key, value] : annotations) object[key] = value;
  return object;
}

Result<Annotations> parse_annotations(const nlohmann::json& value) {
  Annotations annotations;
  if (value.is_null()) return annotations;
  if (!value.is_object()) return fail(ErrorKind::invalid, "field 'annotations' must be a map");
  for (const auto& [key, item] : value.items()) {
    if (!item.is_string()) {
      return fail(ErrorKind::invalid, fmt::format("annotation '{}' must be a string", key));
    }
    annotations[key] = item.get<std::string>();
  }
  return annotations;
}

nlohmann::json descriptor_json(const Descriptor& descriptor) {
  Json object{{"mediaType", descriptor.media_type},
              {"digest", descriptor.digest.str()},
              {"size", descriptor.size}};
  if (!descriptor.annotations.empty()) {
    object["annotations"] = annotations_json(descriptor.annotations);
  }
  if (!descriptor.artifact_type.empty()) object["artifactType"] = descriptor.artifact_type;
  if (descriptor.platform) {
    Json platform{{"os", descriptor.platform->os},
                  {"architecture", descriptor.platform->architecture}};
    if (!descriptor.platform->variant.empty()) platform["variant"] = descriptor.platform->variant;
    object["platform"] = std::move(platform);
  }
  return object;
}

Result<Descriptor> parse_descriptor(const nlohmann::json& value) {
  if (!value.is_object()) return fail(ErrorKind::invalid, "a descriptor must be a map");
  Descriptor descriptor;
  BP_TRY(descriptor.media_type, json_string(value, "mediaType"));
  BP_TRY(const auto digest, json_string(value, "digest"));
  BP_TRY(descriptor.digest, Digest::parse(digest));
  BP_TRY(descriptor.size, json_uint(value, "size"));
  if (descriptor.size > largest_blob) {
    return fail(ErrorKind::invalid, fmt::format("{} is said to have {} bytes; {} are allowed",
                                                digest, descriptor.size, largest_blob));
  }
  if (descriptor.media_type.find("foreign") != std::string::npos ||
      descriptor.media_type.find("nondistributable") != std::string::npos) {
    return fail(ErrorKind::unsupported,
                fmt::format("layer {} is of the kind that may not be copied ({})", digest,
                            descriptor.media_type),
                "such layers are Windows' base images; choose an image without them");
  }
  descriptor.artifact_type = json_string_or(value, "artifactType", "");
  if (const auto found = value.find("annotations"); found != value.end()) {
    BP_TRY(descriptor.annotations, parse_annotations(*found));
  }
  if (const auto found = value.find("platform"); found != value.end() && found->is_object()) {
    descriptor.platform =
        Platform{json_string_or(*found, "os", ""), json_string_or(*found, "architecture", ""),
                 json_string_or(*found, "variant", "")};
  }
  return descriptor;
}

}  // namespace bedplate::oci

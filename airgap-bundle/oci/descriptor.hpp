#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "core/digest.hpp"
#include "core/result.hpp"

namespace bedplate::oci {

using Annotations = std::map<std::string, std::string>;

/// "linux/amd64" or "linux/arm64/v8".
struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;

  static Result<Platform> parse(std::string_view text);
  std::string str() const;
  /// Same system and architecture, and the same variant unless one side does not say.
  bool matches(const Platform& other) const;
};

/// What names a blob (OCI image-spec, descriptor.md).
struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;  ///< bytes
  Annotations annotations;
  std::optional<Platform> platform;
  std::string artifact_type;
};

nlohmann::json descriptor_json(const Descriptor& descriptor);
/// ErrorKind::invalid names the field; foreign layers (with `urls`) are ErrorKind::unsupported.
Result<Descriptor> parse_descriptor(const nlohmann::json& value);

nlohmann::json annotations_json(const Annotations& annotations);
Result<Annotations> parse_annotations(const nlohmann::json& value);

}  // namespace bedplate::oci

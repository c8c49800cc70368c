#include "airgap-bundle/push/referrers.hpp"

#include <fmt/format.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "core/json.hpp"

namespace bedplate::push {

std::string referrers_tag(const Digest& subject) {
  return "sha256-" + subject.hex();
}

Result<oci::Descriptor> referrer_descriptor(std::string_view manifest,
                                            std::string_view media_type) {
  BP_TRY(const auto value, parse_json(manifest, "the referrer's manifest"));
  oci::Descriptor out;
  out.media_type = media_type;
  out.digest = Digest::of(manifest);
  out.size = manifest.size();
  out.artifact_type = json_string_or(value, "artifactType", "");
  if (const auto config = value.find("config");
      out.artifact_type.empty() && config != value.end()) {
    out.artifact_type = json_string_or(*config, "mediaType", "");
  }
  if (const auto annotations = value.find("annotations"); annotations != value.end()) {
    BP_TRY(out.annotations, oci::parse_annotations(*annotations));
  }
  return out;
}

Result<std::optional<std::string>> with_referrer(const std::optional<std::string>& index,
                                                 const oci::Descriptor& referrer) {
  Json value{{"schemaVersion", 2}, {"mediaType", oci::media::index}, {"manifests", Json::array()}};
  if (index) {
    auto parsed = parse_json(*index, "the list of referrers");
    if (!parsed || !parsed->is_object() || !parsed->contains("manifests") ||
        !(*parsed)["manifests"].is_array()) {
      return fail(ErrorKind::conflict, "the tag for the list of referrers names something else",
                  "remove that tag from the registry");
    }
    value = std::move(*parsed);
  }
  for (const auto& item : value["manifests"]) {
    if (item.is_object() && json_string_or(item, "digest", "") == referrer.digest.str()) {
      return std::nullopt;
    }
  }
  value["manifests"].push_back(oci::descriptor_json(referrer));
  return value.dump();
}

Result<void> list_referrer(registry::Uploader& uploader, const Digest& subject,
                           const oci::Descriptor& referrer) {
  BP_TRY(const auto listed, uploader.lists_referrer(subject, referrer.digest));
  if (listed.value_or(false)) return {};
  const auto tag = referrers_tag(subject);
  // Registries cannot change a tag only if it is as it was: somebody else who lists a referrer at
  // the same time may write over ours. Then it is not there when we look again.
  constexpr int most_attempts = 5;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    BP_TRY(const auto before, uploader.read_manifest(tag));
    BP_TRY(const auto after, with_referrer(before, referrer));
    if (!after) return {};
    BP_TRY(const auto answer, uploader.push_manifest(tag, std::string(oci::media::index), *after));
    if (answer.refused) return fail(*answer.refused);
  }
  return fail(
      ErrorKind::conflict,
      fmt::format("the list of referrers of {} is written over again and again", subject.str()),
      "wait until others have pushed, and push again");
}

}  // namespace bedplate::push

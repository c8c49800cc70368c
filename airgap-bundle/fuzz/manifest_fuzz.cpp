#include "airgap-bundle/fuzz/targets.hpp"
#include "airgap-bundle/oci/manifest.hpp"
#include "core/json.hpp"

namespace bedplate::fuzz {
namespace {

void check(const oci::Descriptor& descriptor) {
  const auto json = oci::descriptor_json(descriptor);
  const auto again = oci::parse_descriptor(json);
  require(again.has_value(), "what is written can be read");
  require(oci::descriptor_json(*again) == json, "what is read again is the same");
}

}  // namespace

void manifest(std::string_view input) {
  const oci::Platform here{"linux", "amd64", ""};
  if (const auto type = oci::manifest_media_type(input, "")) {
    require(oci::is_index(*type) || oci::is_manifest(*type), "it is a manifest or an index");
  }
  if (const auto parsed = oci::parse_manifest(input)) {
    require(parsed->layers.size() <= oci::most_layers, "the number of layers is bounded");
    check(parsed->config);
    for (const auto& layer : parsed->layers) check(layer);
  }
  if (const auto child = oci::choose_child(input, here)) {
    require(!child->platform || child->platform->matches(here), "the child is for the platform");
    check(*child);
  }
  (void)oci::check_platform(input, here);
}

}  // namespace bedplate::fuzz

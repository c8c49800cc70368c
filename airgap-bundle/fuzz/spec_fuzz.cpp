#include "airgap-bundle/collect/spec.hpp"
#include "airgap-bundle/fuzz/targets.hpp"
#include "core/yaml.hpp"

namespace bedplate::fuzz {

void spec(std::string_view input) {
  if (const auto node = YamlNode::parse(input, "bundle.yaml")) (void)node->to_json_text();
  const auto parsed = collect::parse_spec(input, "bundle.yaml");
  if (!parsed) {
    require(parsed.error().kind == ErrorKind::invalid, "a wrong specification is invalid");
    require(!parsed.error().what.empty(), "and says why");
    return;
  }
  require(!parsed->images.empty() || !parsed->files.empty() || !parsed->charts.empty(),
          "there is something in the bundle");
  for (const auto& image : parsed->images) {
    const auto again = oci::Reference::parse(image.name.str());
    require(again && *again == image.name, "an image has a full name");
  }
}

}  // namespace bedplate::fuzz

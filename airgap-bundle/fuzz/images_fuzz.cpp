#include "airgap-bundle/closure/references.hpp"
#include "airgap-bundle/fuzz/targets.hpp"

namespace bedplate::fuzz {

void images(std::string_view input) {
  const auto check = [](const oci::Reference& image) {
    const auto again = oci::Reference::parse(image.str());
    require(again && *again == image, "what is found is a full reference");
  };
  if (const auto found = closure::find_images(input, "chart")) {
    for (const auto& image : *found) check(image.image);
  }
  for (const auto& image : closure::references_in_text(input)) check(image);
}

}  // namespace bedplate::fuzz

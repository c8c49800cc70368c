#include "airgap-bundle/closure/references.hpp"
#include "airgap-bundle/collect/rate.hpp"
#include "airgap-bundle/fuzz/targets.hpp"
#include "airgap-bundle/oci/descriptor.hpp"
#include "airgap-bundle/oci/reference.hpp"

namespace bedplate::fuzz {
namespace {

void check(const oci::Reference& reference) {
  const auto again = oci::Reference::parse(reference.str());
  require(again && *again == reference, "a reference is read back as it was written");
  require(reference.str().find_first_of(std::string_view(" \t\r\n\"'/?#\0", 10)) ==
              reference.registry.size(),
          "nothing in it needs quoting, and the registry ends at the first slash");
}

}  // namespace

void reference(std::string_view input) {
  if (const auto parsed = oci::Reference::parse(input)) check(*parsed);
  if (const auto parsed = closure::normalize(input)) check(*parsed);
  if (const auto platform = oci::Platform::parse(input)) {
    require(platform->str() == input, "a platform is written as it was read");
  }
  if (const auto rate = collect::parse_rate(input)) require(*rate > 0, "a size is positive");
}

}  // namespace bedplate::fuzz

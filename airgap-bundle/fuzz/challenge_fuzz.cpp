#include "airgap-bundle/fuzz/targets.hpp"
#include "airgap-bundle/registry/client.hpp"

namespace bedplate::fuzz {

void challenge(std::string_view input) {
  const auto parsed = registry::parse_challenge(input);
  if (!parsed || parsed->basic) return;
  require(parsed->realm.starts_with("https://") || parsed->realm.starts_with("http://"),
          "a token is only asked for over HTTP");
  require(parsed->realm.size() + parsed->service.size() + parsed->scope.size() <= input.size(),
          "nothing is in the challenge that was not said");
}

}  // namespace bedplate::fuzz

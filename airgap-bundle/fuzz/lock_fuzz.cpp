#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/fuzz/targets.hpp"

namespace bedplate::fuzz {

void lock(std::string_view input) {
  const auto parsed = collect::Lock::parse(input, "bundle.lock");
  if (!parsed) {
    require(parsed.error().kind == ErrorKind::invalid, "a wrong lock is invalid");
    return;
  }
  const auto text = parsed->to_text();
  const auto again = collect::Lock::parse(text, "bundle.lock");
  require(again.has_value(), "what is written can be read");
  require(again->to_text() == text, "what is read again is the same");
}

}  // namespace bedplate::fuzz

#include <vector>

#include "airgap-bundle/fuzz/targets.hpp"
#include "airgap-bundle/sets/envelope.hpp"
#include "airgap-bundle/sets/inventory.hpp"

namespace bedplate::fuzz {

void inventory(std::string_view input) {
  static const auto key = PrivateKey::generate();
  static const std::vector<PublicKey> trusted{key.public_key()};

  // As the file that somebody hands over. Nobody but us has the key.
  const auto handed_over = sets::read_inventory(input, trusted, false);
  require(!handed_over, "what nobody signed is refused");
  require(handed_over.error().kind == ErrorKind::invalid ||
              handed_over.error().kind == ErrorKind::untrusted,
          "it is no inventory, or not trusted");
  (void)sets::read_inventory(input, trusted, true);

  // As what somebody signed who may.
  const auto parsed = sets::Inventory::parse(input);
  const auto sealed = sets::seal_document(sets::inventory_type, input, key);
  const auto read = sets::read_inventory(sealed, trusted, false);
  require(read.has_value() == parsed.has_value(), "a signature changes nothing else");
  if (!parsed) {
    require(
        parsed.error().kind == ErrorKind::invalid || parsed.error().kind == ErrorKind::unsupported,
        "a wrong inventory is invalid, or has digests of another kind");
    return;
  }
  const auto text = parsed->to_text();
  require(read->to_text() == text, "what was signed is what is read");
  const auto again = sets::Inventory::parse(text);
  require(again.has_value(), "what is written can be read");
  require(again->to_text() == text, "what is read again is the same");
}

}  // namespace bedplate::fuzz

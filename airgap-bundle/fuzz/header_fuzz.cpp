#include "airgap-bundle/bundle/format.hpp"
#include "airgap-bundle/fuzz/targets.hpp"

namespace bedplate::fuzz {
namespace {

void check_json(std::string_view json) {
  const auto header = bundle::parse_header(json);
  if (!header) {
    require(header.error().kind == ErrorKind::corrupt, "a wrong header is corrupt");
    return;
  }
  for (const auto& entry : header->entries) {
    require(!entry.path.starts_with("blobs/") || header->find(entry.digest) != nullptr,
            "a blob of the header is found");
  }
  const auto text = bundle::to_json_text(*header);
  const auto again = bundle::parse_header(text);
  require(again.has_value(), "what is written can be read");
  require(bundle::to_json_text(*again) == text, "what is read again is the same");
}

}  // namespace

void header(std::string_view input) {
  const auto preamble = bundle::parse_preamble(input);
  if (!preamble) return check_json(input);  // the rest is worth trying without one
  require(preamble->json_length <= bundle::largest_header, "the length is bounded");
  require(preamble->key_id.size() == 32 && preamble->signature.size() == 64, "fields are whole");
  const auto json = input.substr(bundle::preamble_size);
  require(!bundle::verify_header(*preamble, json, {}), "nobody is trusted");
  check_json(json);
}

}  // namespace bedplate::fuzz

#include <algorithm>
#include <string>

#include "airgap-bundle/bundle/part.hpp"
#include "airgap-bundle/fuzz/targets.hpp"

namespace bedplate::fuzz {
namespace {

/// What the header's own checksum covers, and where it stands.
constexpr std::size_t checked_size = 120;

void check_part(std::string_view bytes) {
  const auto part = bundle::parse_part_header(bytes);
  if (!part) {
    require(part.error().kind == ErrorKind::corrupt || part.error().kind == ErrorKind::unsupported,
            "a wrong part is corrupt or of a later version");
    return;
  }
  require(bundle::begins_part(bytes), "a part begins as one");
  require(part->number >= 1 && part->number <= part->layout.count(), "it is one of its set");
  require(part->layout.count() <= bundle::most_parts, "the number of parts is bounded");
  require(part->size() > 0 && part->size() <= part->layout.length, "its size is that of a part");
  require(part->offset() <= part->layout.total - part->size(), "it lies within the bundle");
  const auto text = bundle::to_bytes(*part);
  require(text.size() == bundle::part_header_size, "a header has one size");
  const auto again = bundle::parse_part_header(text);
  require(again.has_value(), "what is written can be read");
  require(again->layout == part->layout && again->number == part->number, "and is the same");
}

}  // namespace

void part(std::string_view input) {
  check_part(input);
  // The same with the right checksum, which no mutation finds.
  auto mended = std::string(input.substr(0, bundle::part_header_size));
  mended.resize(bundle::part_header_size, '\0');
  const auto sum = Digest::of(std::string_view(mended).substr(0, checked_size));
  std::ranges::transform(sum.bytes, mended.begin() + checked_size,
                         [](auto byte) { return static_cast<char>(byte); });
  check_part(mended);
}

}  // namespace bedplate::fuzz

#include "airgap-bundle/bundle/part.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "airgap-bundle/bundle/format.hpp"

namespace bedplate::bundle {
namespace {

constexpr std::string_view magic("BEDPLATE-PART\0\0\0", 16);
/// What the checksum of the header itself covers.
constexpr std::size_t checked_size = 120;

std::string_view raw(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

Digest digest_at(std::string_view bytes, std::size_t at) {
  Digest out;
  std::memcpy(out.bytes.data(), bytes.data() + at, out.bytes.size());
  return out;
}

void append_number(std::string& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 255U);
}

std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i > 0; --i) {
    value = value << 8U | static_cast<unsigned char>(bytes[at + i - 1]);
  }
  return value;
}

}  // namespace

std::uint32_t PartLayout::count() const {
  return static_cast<std::uint32_t>((total + length - 1) / length);
}

std::uint64_t PartLayout::offset(std::uint32_t number) const {
  return (number - 1) * length;
}

std::uint64_t PartLayout::size(std::uint32_t number) const {
  return std::min(length, total - offset(number));
}

std::string to_bytes(const PartHeader& header) {
  std::string out(magic);
  append_number(out, part_version, 4);
  append_number(out, header.number, 4);
  append_number(out, header.layout.count(), 4);
  append_number(out, 0, 4);
  append_number(out, header.layout.total, 8);
  append_number(out, header.layout.length, 8);
  append_number(out, header.size(), 8);
  out += raw(header.set);
  out += raw(header.content);
  out += raw(Digest::of(out));
  out.resize(part_header_size, '\0');
  return out;
}

bool begins_part(std::string_view bytes) {
  return bytes.starts_with(magic);
}

Result<PartHeader> parse_part_header(std::string_view bytes) {
  if (bytes.size() < part_header_size || !begins_part(bytes)) {
    return fail(ErrorKind::corrupt, "this is not a part of a bundle",
                "name the files that `bedplate bundle split` wrote");
  }
  const auto version = number_at(bytes, 16, 4);
  if (version != part_version) {
    return fail(
        ErrorKind::unsupported,
        fmt::format("the part has format {}; this program reads format {}", version, part_version),
        "use the bedplate that split the bundle");
  }
  PartHeader header;
  header.number = static_cast<std::uint32_t>(number_at(bytes, 20, 4));
  const auto count = number_at(bytes, 24, 4);
  auto& layout = header.layout;
  layout.total = number_at(bytes, 32, 8);
  layout.length = number_at(bytes, 40, 8);
  header.set = digest_at(bytes, 56);
  header.content = digest_at(bytes, 88);
  const bool whole = Digest::of(bytes.substr(0, checked_size)) == digest_at(bytes, checked_size) &&
                     bytes.find_first_not_of('\0', checked_size + 32) >= part_header_size;
  // In an order that no product of these numbers can overflow.
  const bool possible = whole && count >= 1 && count <= most_parts && header.number >= 1 &&
                        header.number <= count && layout.length >= tar_block &&
                        layout.length % tar_block == 0 && layout.length <= 1ULL << 60 &&
                        layout.total >= 1 && layout.total <= 1ULL << 61 &&
                        (layout.total + layout.length - 1) / layout.length == count &&
                        number_at(bytes, 28, 4) == 0 && number_at(bytes, 48, 8) == header.size();
  if (possible) return header;
  return fail(ErrorKind::corrupt, "the part's header is damaged",
              "copy this part again from where the bundle was split");
}

}  // namespace bedplate::bundle

#include "core/size.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

#include <fmt/format.h>

namespace bedplate {
namespace {

struct Medium {
  std::string_view name;
  std::uint64_t bytes;
};

// A DVD has 2,295,104 sectors of 2,048 bytes, two layers 4,171,712, a Blu-ray disc 12,219,392. What
// the file system of a disc takes is left free.
constexpr Medium media[] = {
    {"fat32", 4'294'967'295},
    {"dvd", 4'690'000'000},
    {"dvd-dl", 8'530'000'000},
    {"bd", 25'000'000'000},
};

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text, double thousand) {
  constexpr std::string_view units = "KMGT";
  double value = 0;
  const auto* begin = text.data();
  const auto* end = begin + text.size();
  const auto parsed = std::from_chars(begin, end, value);
  std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  const bool binary = unit.size() == 2 && unit[1] == 'i';
  if (binary) unit.remove_suffix(1);
  const auto power = unit.empty() ? std::string_view::npos : units.find(unit[0]);
  const bool known = unit.empty() || (unit.size() == 1 && power != std::string_view::npos);
  for (std::size_t i = 0; known && !unit.empty() && i <= power; ++i)
    value *= binary ? 1024 : thousand;
  if (parsed.ec == std::errc{} && known && value >= 1 && value < 1e18) {
    return static_cast<std::uint64_t>(value);
  }
  return std::nullopt;
}

Result<std::uint64_t> parse_medium_size(std::string_view text) {
  const auto named = std::ranges::find(media, text, &Medium::name);
  if (named != std::end(media)) return named->bytes;
  if (const auto bytes = parse_bytes(text, 1000)) return *bytes;
  return fail(ErrorKind::usage, fmt::format("'{}' is not the size of a medium", text),
              "write 4.7G, 4Gi, bytes, or what it is for: fat32, dvd, dvd-dl, bd");
}

}  // namespace bedplate

#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bedplate {

/// ASCII letters in lower case, whatever the locale: for header names and other protocol words.
std::string lower(std::string_view text);

/// Without spaces, tabs and line ends at either end.
std::string_view trimmed(std::string_view text);

/// The number that `text` as a whole stands for: digits of `base`, without a sign. Nothing for any
/// other text, and for what T cannot hold.
template <std::unsigned_integral T = std::uint64_t>
std::optional<T> parse_unsigned(std::string_view text, int base = 10) {
  T value = 0;
  const auto* begin = text.data();
  const auto* end = begin + text.size();
  const auto parsed = std::from_chars(begin, end, value, base);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return value;
}

/// Appends `text` with its percent-encoded octets decoded (RFC 3986, section 2.1). A per cent sign
/// without two hexadecimal digits behind it stands for itself.
void append_percent_decoded(std::string& out, std::string_view text);

/// Length of the valid UTF-8 sequence (RFC 3629) that `text` begins with; 0 when there is none.
std::size_t utf8_length(std::string_view text);

/// Whether all of it is UTF-8.
bool is_utf8(std::string_view text);

/// What may be written to a terminal or into JSON, whoever wrote the text: UTF-8 of which no
/// control characters but line ends and tabs are left; `?` stands for all else.
std::string presentable(std::string_view text);

}  // namespace bedplate

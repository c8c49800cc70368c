#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bedplate {

/// ASCII letters in lower case, whatever the locale: for header names and other protocol words.
std::string lower(std::string_view text);

/// Without spaces, tabs and line ends at either end.
std::string_view trimmed(std::string_view text);

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

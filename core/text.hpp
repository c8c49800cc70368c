#pragma once

#include <string>
#include <string_view>

namespace bedplate {

/// ASCII letters in lower case, whatever the locale: for header names and other protocol words.
std::string lower(std::string_view text);

/// Without spaces, tabs and line ends at either end.
std::string_view trimmed(std::string_view text);

}  // namespace bedplate

#pragma once

#include <cstdint>
#include <string_view>

#include "core/result.hpp"

namespace bedplate {

/// Bytes of a medium: "4.7G" in units of 1000, as labels of sticks and discs have it; "4Gi" in
/// units of 1024; or a name for what fits on one: "fat32" (the largest file of a FAT file system),
/// "dvd", "dvd-dl" and "bd" (a disc with its file system). ErrorKind::usage for anything else.
Result<std::uint64_t> parse_medium_size(std::string_view text);

}  // namespace bedplate

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/result.hpp"

namespace bedplate {

/// A number, which may have a fraction, of bytes or with a unit: K, M, G and T stand for powers of
/// `thousand`, Ki, Mi, Gi and Ti for powers of 1024. Nothing for anything else, for less than one
/// byte, and for 10^18 and more.
std::optional<std::uint64_t> parse_bytes(std::string_view text, double thousand);

/// Bytes of a medium: "4.7G" in units of 1000, as labels of sticks and discs have it; "4Gi" in
/// units of 1024; or a name for what fits on one: "fat32" (the largest file of a FAT file system),
/// "dvd", "dvd-dl" and "bd" (a disc with its file system). ErrorKind::usage for anything else.
Result<std::uint64_t> parse_medium_size(std::string_view text);

}  // namespace bedplate

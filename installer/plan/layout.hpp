#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "installer/plan/plan.hpp"

namespace bedplate::installer {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

/// Smallest STATE that holds the bundle's copy, its unpacked images and logs.
std::uint64_t minimum_state(std::uint64_t bundle_size);
/// Smallest disk on which a node can be installed.
std::uint64_t minimum_disk(std::uint64_t bundle_size);

/// The partition table for a disk of this size: 1 MiB aligned, the last MiB free for the backup
/// GPT. `identity` seeds the partition GUIDs. The disk must be at least minimum_disk().
std::vector<PlannedPartition> make_layout(std::uint64_t disk_size, std::uint64_t bundle_size,
                                          std::string_view identity);

/// A GUID (RFC 9562 version 8) that is a function of the seed.
std::string deterministic_guid(std::string_view seed);

}  // namespace bedplate::installer

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "installer/plan/plan.hpp"

namespace bedplate::installer {

/// The sectors that make up the plan's GPT, computed by libfdisk on an anonymous file. A function
/// of the plan alone, so that what is on a disk can be compared with it byte by byte.
struct TableImage {
  std::string primary;  ///< from byte 0: protective MBR, header, entries
  std::string backup;   ///< entries and header at the end of the disk
  std::uint64_t backup_offset = 0;
};
Result<TableImage> make_table(const Plan& plan);

/// True when both copies of the table are on the device (boot code in the MBR does not count).
Result<bool> table_is_written(const std::filesystem::path& device, const TableImage& table);

/// Writes the backup, then the primary entries, then MBR and header, with a flush after each. A cut
/// at any instant leaves a disk without a table, or one whose backup is ours.
Result<void> write_table(const std::filesystem::path& device, const TableImage& table,
                         std::uint64_t sector);

}  // namespace bedplate::installer

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/process.hpp"
#include "core/result.hpp"

namespace bedplate::installer {

struct BootEntry {
  std::string number;     ///< four hex digits
  std::string label;      ///< "Bedplate two-nodes"
  std::string partition;  ///< PARTUUID, lower case; empty for entries without a GPT partition
};

/// Parses the output of `efibootmgr -v` (17 and 18).
std::vector<BootEntry> parse_boot_entries(std::string_view output);

/// The firmware's boot menu, through efibootmgr. Only entries with our own label are ever removed.
class Nvram {
 public:
  explicit Nvram(ProcessRunner& runner) : runner_(runner) {}

  /// The number of the entry with this label and partition, or empty.
  Result<std::string> find(std::string_view label, std::string_view partition);
  /// Makes the entry for \EFI\BOOT\BOOTX64.EFI on partition 2 of the disk and removes entries with
  /// the same label that lead to other partitions.
  Result<void> enter(std::string_view label, std::string_view disk, std::string_view partition);
  /// The entry is used for the next start only.
  Result<void> boot_next(std::string_view number);

 private:
  ProcessRunner& runner_;
};

}  // namespace bedplate::installer

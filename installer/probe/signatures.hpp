#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "installer/probe/host.hpp"

namespace bedplate::installer {

/// What stands on a disk: everything libblkid knows, on the whole device and on each partition of
/// the table that is on the disk. Works on block devices and on plain files.
struct DiskContents {
  std::vector<Signature> signatures;
  std::string table_uuid;
  std::vector<ProbedPartition> partitions;
};

/// Reads only. `sector`: logical sector size of a plain file; 0 asks the device.
Result<DiskContents> probe_contents(const std::filesystem::path& device, std::uint64_t sector = 0);

/// Signatures of one partition or volume.
Result<std::vector<Signature>> probe_signatures(const std::filesystem::path& device);

/// Erases every signature libblkid finds in that part of the device (`size` 0: all of it), as
/// wipefs(8) does; fsync at the end. May be killed and run again. ErrorKind::io also while a block
/// device is mounted or part of something.
Result<void> wipe_signatures(const std::filesystem::path& device, std::uint64_t offset = 0,
                             std::uint64_t size = 0);

}  // namespace bedplate::installer

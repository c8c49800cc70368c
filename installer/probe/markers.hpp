#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/process.hpp"
#include "installer/probe/host.hpp"

namespace bedplate::installer {

/// What a complete installation leaves on its ESP: /bedplate/installed/<site id>.
struct Marker {
  std::string site;  ///< site id
  std::string node;
};

/// The marker's content: one JSON line. Deterministic, so that writing it again changes nothing.
std::string marker_text(const Marker& marker);

/// mtools' name of a FAT file system inside a disk or image: "device@@offset".
std::string mtools_drive(const std::filesystem::path& device, std::uint64_t offset);

/// The marker on the disk's BP-ESP, read with mtools (vfat need not be mounted). Nothing when there
/// is none or it cannot be read.
std::optional<Marker> read_marker(const std::filesystem::path& device,
                                  const std::vector<ProbedPartition>& partitions,
                                  ProcessRunner& runner);

}  // namespace bedplate::installer

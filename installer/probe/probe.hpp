#pragma once

#include <filesystem>

#include "core/process.hpp"
#include "installer/probe/host.hpp"

namespace bedplate::installer {

struct ProbeOptions {
  /// Where /sys, /proc, /dev and /run are looked for; another folder in tests.
  std::filesystem::path root = "/";
  /// Mount point of the medium, as /proc/self/mountinfo names it.
  std::filesystem::path medium = "/run/medium";
  /// Look into the disks themselves (signatures, partition tables, markers).
  bool contents = true;
};

/// Reads everything about this machine; changes nothing. A disk whose content cannot be read is
/// kept with the signature "unreadable", so that it is never taken for an empty one. `runner` runs
/// mtools to read the markers of installed disks.
Result<ProbedHost> probe_host(const ProbeOptions& options, ProcessRunner& runner);

/// One disk by its kernel name ("sda", "loop0").
Result<ProbedDisk> probe_disk(const ProbeOptions& options, std::string_view name,
                              ProcessRunner& runner);

}  // namespace bedplate::installer

#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "qemu-tests/lab/child.hpp"

namespace bedplate::lab {

/// What an interrupted rehearsal leaves for the next one of the same site and medium.
struct RehearsalState {
  std::set<std::string> installed;  ///< machines whose disks boot
  std::string decoy_digest;         ///< of the decoy when it was made
};

/// An absent or unreadable file is an empty state: everything starts anew.
RehearsalState read_state(const std::filesystem::path& file);
Result<void> write_state(const std::filesystem::path& file, const RehearsalState& state);

/// True for a folder of machines that a rehearsal made: nothing else in its work folder is ours to
/// remove.
bool is_of_a_rehearsal(const std::filesystem::path& folder);

/// Machines that were left running by --keep.
struct KeptLab {
  ProcessId network;
  std::vector<ProcessId> machines;
  std::filesystem::path sockets;
  std::filesystem::path folder;  ///< of the machines
};

Result<void> write_kept(const std::filesystem::path& file, const KeptLab& kept);
/// ErrorKind::not_found when nothing was kept.
Result<KeptLab> read_kept(const std::filesystem::path& file);
bool any_alive(const KeptLab& kept);

}  // namespace bedplate::lab

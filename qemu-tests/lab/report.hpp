#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "qemu-tests/lab/cluster.hpp"
#include "qemu-tests/lab/network.hpp"
#include "qemu-tests/lab/stages.hpp"

namespace bedplate::lab {

struct MachineReport {
  std::string name;
  std::vector<Stage> stages;
  std::optional<std::string> verity;  ///< what the agent's step system-root saw; absent: never ok
  std::optional<std::string> lab_settings;  ///< what its step lab-settings saw; must be "none"
  std::vector<Crash> crashes;
};

/// A part of the rehearsal as a whole.
struct PhaseTime {
  std::string name;
  Milliseconds took{0};
};

/// What a rehearsal saw.
struct RehearsalReport {
  std::string site;
  std::string accelerator;
  std::string bundle;  ///< name and version of what was installed
  bool resumed = false;
  std::vector<PhaseTime> phases;
  std::vector<MachineReport> machines;
  std::vector<NodeView> nodes;
  std::vector<PodView> pods;
  std::vector<std::string> service_answers;  ///< what the client pod said, each time
  std::vector<std::string> foreign_images;   ///< images on nodes that the bundle does not have
  std::optional<bool> decoy_unchanged;       ///< absent without a decoy
  NetworkReport network;
  std::vector<std::string> findings;  ///< what makes the rehearsal a failure
};

/// Whether QEMU's emulation of processors is to blame, and not the system. Linux patches its own
/// code by way of a breakpoint. With several emulated processors QEMU (7.2, TCG) now and then runs
/// a breakpoint that is gone from memory; the kernel knows nothing of it and stops. Hardware and
/// KVM don't do that.
bool is_fault_of_emulation(const Crash& crash, std::string_view accelerator);

/// What makes a rehearsal that ran to its end a failure. What was not seen is no proof: no frames,
/// no images and an unknown root file system are findings, too. A crash is one as well, unless
/// is_fault_of_emulation: the machine had to come back by itself, or something else would be found.
std::vector<std::string> findings_of(const RehearsalReport& report);

/// For --report and --json. Times in seconds.
std::string report_to_json(const RehearsalReport& report);

/// Stages as rows, machines as columns, seconds in the cells; a part for each start.
std::string stage_table(const std::vector<MachineReport>& machines);
std::string phase_table(const std::vector<PhaseTime>& phases);
std::string node_table(const std::vector<NodeView>& nodes);
std::string pod_table(const std::vector<PodView>& pods);

}  // namespace bedplate::lab

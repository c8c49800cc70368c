#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.hpp"
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
  std::string emulator;  ///< QEMU's version: "7.2.22"
  std::string bundle;    ///< name and version of what was installed
  bool resumed = false;
  std::vector<PhaseTime> phases;
  std::vector<MachineReport> machines;
  std::vector<NodeView> nodes;
  std::vector<PodView> pods;
  /// Of the first machine, by its own clock: when the first client was done, and what it took the
  /// time for when it was back. Its hardware clock says 2000-01-01 each time.
  std::optional<WallTime> before_power_cut;
  std::optional<WallTime> after_power_cut;
  std::vector<std::string> service_answers;  ///< what the client pod said, each time
  std::vector<std::string> foreign_images;   ///< images on nodes that the bundle does not have
  std::optional<bool> decoy_unchanged;       ///< absent without a decoy
  NetworkReport network;
  std::vector<std::string> findings;  ///< what makes the rehearsal a failure
};

/// Whether QEMU before 8.1 emulates processors, and so now and then makes a kernel stop. Linux
/// patches its own code by way of a breakpoint. While one processor did so, another's code could be
/// translated with the breakpoint, and that translation stayed although it was gone from memory;
/// the kernel knows nothing of a breakpoint there. From 8.1 on pages are locked before they are
/// translated. Hardware and KVM have no such thing.
bool emulation_is_faulty(std::string_view accelerator, std::string_view emulator);
/// Whether that is what happened.
bool is_fault_of_emulation(const Crash& crash, const RehearsalReport& report);

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

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/process.hpp"
#include "core/site.hpp"
#include "qemu-tests/lab/child.hpp"
#include "qemu-tests/lab/frame.hpp"

namespace bedplate::lab {

enum class Accelerator { kvm, tcg };
std::string_view to_string(Accelerator accelerator);

/// A machine as a workshop would build it: what hardware it has, and nothing inside.
struct MachineSpec {
  std::string name;
  std::filesystem::path folder;  ///< disk, firmware variables, console log, sockets' neighbours
  Accelerator accelerator = Accelerator::tcg;
  unsigned memory_mib = 4096;
  unsigned processors = 2;
  int nice = 0;
  Mac mac{};
  std::filesystem::path network_socket;
  std::filesystem::path control_socket;  ///< QMP: power only
  std::filesystem::path medium;          ///< ISO, in the drive at every start
  DiskSelector disk;                     ///< what the site file looks for
  bool decoy = false;                    ///< a second disk with someone's data
  std::optional<std::string> serial;     ///< SMBIOS product serial
  std::optional<std::string> uuid;
  std::filesystem::path firmware_code;
  std::filesystem::path firmware_variables;  ///< this machine's own copy

  std::filesystem::path disk_path() const { return folder / "root.disk"; }
  std::filesystem::path decoy_path() const { return folder / "decoy.disk"; }
  std::filesystem::path console_path() const { return folder / "console.log"; }
};

/// "7.2.22", of the QEMU that power_on starts. ErrorKind::dependency when there is none, process
/// when it does not say.
Result<std::string> emulator_version(ProcessRunner& runner);

/// From what `qemu-system-x86_64 --version` prints.
std::optional<std::string> parse_emulator_version(std::string_view text);

/// QEMU's command line. The machine gets only what real hardware has: firmware, disks, a CD drive
/// that is always tried before the disk, a network card, a clock that lost its battery (2000-01-01)
/// and a serial console that can be read but not written. Nothing is handed to the system inside.
std::vector<std::string> machine_arguments(const MachineSpec& spec);

/// A machine that is switched on.
class Machine {
 public:
  /// Presses the power button. The console log is appended to.
  static Result<Machine> power_on(const MachineSpec& spec, bool outlives_us);
  bool running() { return child_.running(); }
  const ProcessId& id() const { return child_.id(); }
  /// Pulls the plug: nothing inside is told.
  void cut_power() { child_.kill(); }
  void release() { child_.release(); }

 private:
  Child child_;
};

}  // namespace bedplate::lab

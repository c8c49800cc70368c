#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "core/result.hpp"
#include "qemu-tests/lab/machine.hpp"
#include "qemu-tests/lab/stages.hpp"

namespace bedplate::lab {

/// The machines of a rehearsal and those who watch their consoles. A thread reads the consoles five
/// times a second, so times are right whatever the caller does meanwhile. All members are for the
/// thread that made the object.
class Lab {
 public:
  struct Settings {
    bool outlives_us = false;         ///< machines stay when the process ends
    std::function<bool()> cancelled;  ///< asked often
    Milliseconds stage_limit{0};      ///< how long one stage of a machine may take
  };
  Lab(std::vector<MachineSpec> specs, Settings settings, Progress& progress);
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;
  /// Cuts the power of machines that were not released.
  ~Lab();

  /// Milliseconds since the lab was made: the clock of all stages.
  Milliseconds now() const;
  Result<void> power_on(const std::string& start);
  void cut_power();
  void release();
  /// Waits until `done` says true of every machine. Errors: cancelled; process (a machine ended or
  /// its installer failed); timeout (a stage or the whole took too long). They carry the last lines
  /// of the console and the place of its log.
  Result<void> wait(std::string_view what, Milliseconds limit,
                    const std::function<bool(const StageTracker&)>& done);
  /// The checks of wait() once: nothing ended, failed or was cancelled.
  Result<void> look();
  /// Its disk is installed already, as an earlier run knows.
  void assume_installed(std::size_t machine);

  const std::vector<MachineSpec>& specs() const;
  std::vector<StageTracker> trackers() const;
  std::vector<ProcessId> processes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bedplate::lab

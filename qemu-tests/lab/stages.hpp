#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qemu-tests/lab/console.hpp"

namespace bedplate::lab {

using Milliseconds = std::chrono::milliseconds;

/// A piece of a machine's way, with times of the rehearsal's own clock: the machine's is wrong on
/// purpose.
struct Stage {
  enum class State { running, done, failed, interrupted };
  std::string start;  ///< which power-on it belongs to: "first start", "after the power cut"
  std::string name;   ///< "firmware", "live boot", "install/write-system", "agent/node-ready"
  Milliseconds began{0};
  Milliseconds ended{0};
  State state = State::running;
  std::string detail;
};

/// A machine stopped running its system although nobody had asked it to.
struct Crash {
  std::string start;  ///< as in Stage
  std::string stage;  ///< what it was at
  Milliseconds when{0};
  /// The kernel's own words ("Oops: int3: 0000 [#1] PREEMPT SMP NOPTI"), the panic's where there is
  /// no oops before it.
  std::string what;
};

/// Follows one machine by its console. Fed with plain lines; knows at any time how far it is.
class StageTracker {
 public:
  /// The machine was switched on; `start` names this start.
  void power_on(std::string start, Milliseconds now);
  /// An earlier run installed it: its next start is one from disk.
  void assume_installed() { installed_ = true; }
  /// Its power was cut: whatever runs ends as interrupted.
  void power_off(Milliseconds now);
  void line(std::string_view line, Milliseconds now);

  const std::vector<Stage>& stages() const { return stages_; }
  /// What it does now: the name of the newest stage that runs, or "ready".
  std::string activity() const;
  /// Since when.
  Milliseconds activity_since() const { return changed_; }
  bool installed() const { return installed_; }
  /// The agent said ready since the last start.
  bool ready() const { return ready_; }
  /// The installer gave up: what it said.
  const std::optional<std::string>& failure() const { return failure_; }
  /// What the last "ok" of a step said; nothing if it never was ok.
  std::optional<std::string> detail_of(std::string_view step) const;
  /// Kernel panics, and restarts that nobody announced.
  const std::vector<Crash>& crashes() const { return crashes_; }
  /// How often a kernel started since the last power-on.
  int kernels() const { return kernels_; }

 private:
  void open(std::string name, Milliseconds now);
  void close(std::string_view name, Milliseconds now, Stage::State state, std::string detail);
  void close_boot(Milliseconds now);
  void close_all(Milliseconds now, Stage::State state);
  void milestone(std::string_view line, Milliseconds now);
  void kernel_says(std::string_view line, Milliseconds now);
  void crash(std::string what, Milliseconds now);
  void event(const ConsoleEvent& event, Milliseconds now);
  void phase_event(const ConsoleEvent& event, Milliseconds now);

  std::string start_;
  std::vector<Stage> stages_;
  std::map<std::string, std::string, std::less<>> details_;
  std::optional<std::string> failure_;
  std::vector<Crash> crashes_;
  std::string oops_;  ///< the first since this kernel started
  Milliseconds changed_{0};
  bool installed_ = false;
  bool ready_ = false;
  int kernels_ = 0;
};

}  // namespace bedplate::lab

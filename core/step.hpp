#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/result.hpp"

namespace bedplate {

/// What a probe found.
enum class Probe {
  satisfied,  ///< nothing to do
  missing,    ///< apply() would bring it about
  conflict,   ///< something else is in its place; apply() may not destroy it
};

struct ProbeResult {
  Probe probe = Probe::missing;
  std::string detail;  ///< what was seen, for the status page

  static ProbeResult satisfied(std::string detail = {}) {
    return {Probe::satisfied, std::move(detail)};
  }
  static ProbeResult missing(std::string detail = {}) {
    return {Probe::missing, std::move(detail)};
  }
  static ProbeResult conflict(std::string detail) { return {Probe::conflict, std::move(detail)}; }
};

/// One thing that must be so. May be killed at any instant and run again: apply() therefore either
/// finishes or leaves a state from which probe() says missing and apply() can start over.
class Step {
 public:
  virtual ~Step() = default;
  virtual std::string id() const = 0;        ///< lower-case words with hyphens: "kubeadm-certs"
  virtual std::string describe() const = 0;  ///< one line for people
  virtual Result<ProbeResult> probe() = 0;
  virtual Result<void> apply() = 0;
};

enum class StepState { pending, applying, satisfied, failed, conflict };
std::string_view to_string(StepState state);

/// One change of one step, for screens, logs and the journal.
struct StepEvent {
  std::string id;
  std::string describe;
  StepState state = StepState::pending;
  std::string detail;
  std::chrono::milliseconds elapsed{0};  ///< of apply and the probes around it
  std::optional<Error> error;
};

/// Takes part in a run: told of every change. An implementation must not throw or block.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void on_step(const StepEvent& event) = 0;
};

/// Append-only record of what was done (JSON lines). A hint only: a missing, torn or lying journal
/// changes nothing, since every step is probed. A torn tail is cut off when it is opened. What is
/// said again with nothing new (a step that stays satisfied, or fails the same way at each retry)
/// is written once, so that a node that waits for days does not fill its disk.
class Journal final : public StepObserver {
 public:
  static Result<std::unique_ptr<Journal>> open(const std::filesystem::path& path, Clock& clock);
  void on_step(const StepEvent& event) override;
  ~Journal() override;

 private:
  struct Impl;
  explicit Journal(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Probes each step in order, applies what is missing, probes it again. Stops at the first failure
/// or conflict (ErrorKind::conflict) with the error, which names the step. A step that is still
/// missing after apply() is asked a few times more, a second apart, since a server under load may
/// miss one probe; then it is ErrorKind::internal.
Result<void> run_steps(const std::vector<std::unique_ptr<Step>>& steps,
                       const std::vector<StepObserver*>& observers, Clock& clock);

/// A step made of functions, for those that need no class of their own.
std::unique_ptr<Step> make_step(std::string id, std::string describe,
                                std::function<Result<ProbeResult>()> probe,
                                std::function<Result<void>()> apply);

/// The same step, but once satisfied it is believed for `age` before its probe is asked again. For
/// probes that are dear to run at every pass and whose answer seldom changes. The memory ends with
/// the process, and with any other answer of the probe.
std::unique_ptr<Step> make_lasting(std::unique_ptr<Step> step, std::chrono::milliseconds age,
                                   Clock& clock);

}  // namespace bedplate

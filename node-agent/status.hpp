#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/json.hpp"
#include "core/step.hpp"

namespace bedplate::agent {

/// Keeps what each step's state is, since when, and its last error; writes it to
/// /run/bedplate/status.json (whole or not at all) and tells the console of every change, once.
class StatusBoard final : public StepObserver {
 public:
  StatusBoard(std::filesystem::path file, std::filesystem::path console, Clock& clock,
              std::string node, std::string role);

  /// The steps that are going to run, so that those behind the present one are seen as pending.
  void expect(const std::vector<std::unique_ptr<Step>>& steps);
  void on_step(const StepEvent& event) override;
  /// "converging", "ready", "failed" (see cannot_start), or "degraded": it was ready since this
  /// agent began, and a step fails now. Said on the console when it begins.
  void set_phase(const std::string& phase);
  const std::string& phase() const { return phase_; }
  /// The agent could not begin: phase "failed", and a step "start" with the error. Said on the
  /// console when it is another one than the file has already (the agent is started anew for ever).
  void cannot_start(const Error& error);

 private:
  struct Line {
    std::string id;
    std::string describe;
    StepState state = StepState::pending;
    WallTime since{};
    double seconds = 0;
    std::string detail;
    Json error;
  };
  void write() const;
  void say(const std::string& line) const;
  Line& line_of(const std::string& id, const std::string& describe);

  std::filesystem::path file_;
  std::filesystem::path console_;
  Clock& clock_;
  std::string node_;
  std::string role_;
  std::string phase_ = "converging";
  std::string boot_id_;
  std::vector<Line> lines_;
};

}  // namespace bedplate::agent

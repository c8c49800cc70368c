#include "qemu-tests/lab/stages.hpp"

#include <algorithm>
#include <array>
#include <ranges>

namespace bedplate::lab {
namespace {

constexpr std::array<std::string_view, 6> kBootStages{
    "firmware", "boot loader, medium", "boot loader, disk", "live boot", "boot", "restart"};

bool is_boot_stage(std::string_view name) {
  return std::ranges::find(kBootStages, name) != kBootStages.end();
}

/// The firmware may start one boot entry after the other until one of them holds.
bool comes_before_a_kernel(std::string_view name) {
  return name == "firmware" || name == "restart" || name.starts_with("boot loader");
}

}  // namespace

void StageTracker::power_on(std::string start, Milliseconds now) {
  start_ = std::move(start);
  failure_.reset();
  ready_ = false;
  kernels_ = 0;
  open("firmware", now);
}

void StageTracker::power_off(Milliseconds now) {
  close_all(now, Stage::State::interrupted);
  ready_ = false;
}

void StageTracker::line(std::string_view line, Milliseconds now) {
  if (const auto parsed = parse_console_line(line)) {
    event(*parsed, now);
  } else {
    kernel_says(line, now);
    milestone(line, now);
  }
}

std::string StageTracker::activity() const {
  for (const auto& stage : stages_ | std::views::reverse) {
    if (stage.state == Stage::State::running) return stage.name;
  }
  return ready_ ? "ready" : "between steps";
}

std::optional<std::string> StageTracker::detail_of(std::string_view step) const {
  const auto found = details_.find(step);
  if (found == details_.end()) return std::nullopt;
  return found->second;
}

void StageTracker::open(std::string name, Milliseconds now) {
  Stage stage;
  stage.start = start_;
  stage.name = std::move(name);
  stage.began = now;
  stages_.push_back(std::move(stage));
  changed_ = now;
}

void StageTracker::close(std::string_view name, Milliseconds now, Stage::State state,
                         std::string detail) {
  auto found = std::ranges::find_if(stages_ | std::views::reverse, [&](const Stage& stage) {
    return stage.name == name && stage.state == Stage::State::running;
  });
  if (found == std::ranges::rend(stages_)) {
    // Its beginning was not said; it has run since the last change at the earliest.
    const auto began = changed_;
    open(std::string(name), began);
    found = stages_.rbegin();
  }
  found->state = state;
  found->ended = now;
  found->detail = std::move(detail);
  changed_ = now;
}

void StageTracker::close_boot(Milliseconds now) {
  for (auto& stage : stages_) {
    if (stage.state != Stage::State::running || !is_boot_stage(stage.name)) continue;
    stage.state = Stage::State::done;
    stage.ended = now;
    changed_ = now;
  }
}

void StageTracker::close_all(Milliseconds now, Stage::State state) {
  for (auto& stage : stages_) {
    if (stage.state != Stage::State::running) continue;
    stage.state = state;
    stage.ended = now;
  }
}

void StageTracker::kernel_says(std::string_view line, Milliseconds now) {
  constexpr std::string_view kPanic = "Kernel panic - not syncing: ";
  const auto oops = line.find("Oops: ");
  if (oops != std::string_view::npos && oops_.empty()) oops_ = line.substr(oops);
  const auto panic = line.find(kPanic);
  if (panic == std::string_view::npos) return;
  crash(oops_.empty() ? std::string(line.substr(panic)) : oops_, now);
}

void StageTracker::crash(std::string what, Milliseconds now) {
  crashes_.push_back({start_, activity(), now, std::move(what)});
  close_all(now, Stage::State::interrupted);
  ready_ = false;
  open("restart", now);
}

void StageTracker::milestone(std::string_view line, Milliseconds now) {
  if (line.find("BdsDxe: starting") != std::string_view::npos) {
    if (!comes_before_a_kernel(activity())) crash("a restart that nobody announced", now);
    close_boot(now);
    return open(installed_ ? "boot loader, disk" : "boot loader, medium", now);
  }
  if (line.find("Linux version ") == std::string_view::npos) return;
  if (!is_boot_stage(activity())) close_all(now, Stage::State::interrupted);
  close_boot(now);
  ++kernels_;
  oops_.clear();
  ready_ = false;
  open(installed_ ? "boot" : "live boot", now);
}

void StageTracker::event(const ConsoleEvent& event, Milliseconds now) {
  using Word = ConsoleEvent::Word;
  if (event.phase != "boot") close_boot(now);
  if (event.phase == "agent") installed_ = true;
  if (event.step.empty()) return phase_event(event, now);
  const auto name = event.phase + "/" + event.step;
  if (event.word == Word::started) return open(name, now);
  const auto state = event.word == Word::failed ? Stage::State::failed : Stage::State::done;
  close(name, now, state, event.detail);
  if (state == Stage::State::done) details_[name] = event.detail;
}

void StageTracker::phase_event(const ConsoleEvent& event, Milliseconds now) {
  using Word = ConsoleEvent::Word;
  if (event.word == Word::failed) {
    close_all(now, Stage::State::failed);
    failure_ = event.phase + " failed" + (event.detail.empty() ? "" : ": " + event.detail);
    return;
  }
  if (event.word == Word::started) {
    // Converging again; a failure that was said before is being mended.
    failure_.reset();
    return;
  }
  if (event.phase == "install") {
    close_all(now, Stage::State::done);
    installed_ = true;
    return open("restart", now);
  }
  if (event.phase == "agent") {
    close_all(now, Stage::State::done);
    failure_.reset();
    ready_ = true;
    changed_ = now;
  }
}

}  // namespace bedplate::lab

#include "qemu-tests/lab/lab.hpp"

#include <atomic>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "core/file.hpp"
#include "qemu-tests/lab/console.hpp"

namespace bedplate::lab {
namespace {

constexpr Milliseconds kPeriod{200};

Error with_console(Error error, const MachineSpec& spec, const std::string& last_lines) {
  error.what += fmt::format("\nlast lines of the console of {}:\n{}", spec.name, last_lines);
  while (error.what.ends_with('\n')) error.what.pop_back();
  return std::move(error).with_hint(
      fmt::format("the whole console: less -R {}", spec.console_path().string()));
}

}  // namespace

struct Lab::Impl {
  Impl(std::vector<MachineSpec> s, Settings t, Progress& p)
      : specs(std::move(s)), settings(std::move(t)), progress(p), trackers(specs.size()) {
    for (const auto& spec : specs) consoles.emplace_back(spec.console_path());
    machines.resize(specs.size());
    watcher = std::jthread([this](const std::stop_token& stop) { watch(stop); });
  }

  Milliseconds now() const {
    return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - origin);
  }

  void watch(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      poll_consoles();
      std::this_thread::sleep_for(kPeriod);
    }
  }

  void poll_consoles() {
    const std::lock_guard lock(mutex);
    for (std::size_t i = 0; i < specs.size(); ++i) {
      consoles[i].poll([&](std::string_view line) {
        tell(i, line);
        const auto crashes = trackers[i].crashes().size();
        trackers[i].line(line, now());
        if (trackers[i].crashes().size() > crashes) {
          progress.note(
              fmt::format("{}: crashed: {}", specs[i].name, trackers[i].crashes().back().what));
        }
      });
    }
    show();
  }

  /// What is worth a line of the screen: everything the installer and the agent say.
  void tell(std::size_t machine, std::string_view line) {
    const auto event = parse_console_line(line);
    if (!event || event->word == ConsoleEvent::Word::started) return;
    const auto mark = line.find("bedplate: ");
    progress.note(fmt::format("{}: {}", specs[machine].name, line.substr(mark + 10)));
  }

  void show() {
    if (!waiting) return;
    std::string title;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      title += fmt::format("{}{}: {}", i == 0 ? "" : " · ", specs[i].name, trackers[i].activity());
    }
    if (title == shown) return;
    shown = title;
    progress.begin(title, 0);
  }

  Result<void> check(std::size_t i) {
    const auto& spec = specs[i];
    const std::lock_guard lock(mutex);
    if (!machines[i].running()) {
      const auto said = read_file(spec.folder / "qemu.log");
      return fail(with_console(
          Error(ErrorKind::process,
                fmt::format("the machine {} ended by itself: {}", spec.name, said ? *said : "")),
          spec, consoles[i].last_lines()));
    }
    const auto& tracker = trackers[i];
    if (tracker.failure()) {
      return fail(with_console(
          Error(ErrorKind::process, fmt::format("{}: {}", spec.name, *tracker.failure())), spec,
          consoles[i].last_lines()));
    }
    const auto taken = now() - tracker.activity_since();
    if (tracker.ready() || taken < settings.stage_limit) return {};
    return fail(with_console(
        Error(ErrorKind::timeout, fmt::format("{} is at '{}' since {}", spec.name,
                                              tracker.activity(), format_duration(taken))),
        spec, consoles[i].last_lines()));
  }

  std::vector<MachineSpec> specs;
  Settings settings;
  Progress& progress;
  const std::chrono::steady_clock::time_point origin = std::chrono::steady_clock::now();
  mutable std::mutex mutex;
  std::vector<StageTracker> trackers;
  std::vector<ConsoleReader> consoles;
  std::vector<Machine> machines;
  std::atomic<bool> waiting{false};
  std::string shown;
  std::jthread watcher;
};

Lab::Lab(std::vector<MachineSpec> specs, Settings settings, Progress& progress)
    : impl_(std::make_unique<Impl>(std::move(specs), std::move(settings), progress)) {}

Lab::~Lab() {
  impl_->watcher.request_stop();
  impl_->watcher.join();
}

Milliseconds Lab::now() const {
  return impl_->now();
}

Result<void> Lab::power_on(const std::string& start) {
  for (std::size_t i = 0; i < impl_->specs.size(); ++i) {
    {
      const std::lock_guard lock(impl_->mutex);
      impl_->trackers[i].power_on(start, now());
    }
    BP_TRY(impl_->machines[i], Machine::power_on(impl_->specs[i], impl_->settings.outlives_us));
  }
  return {};
}

void Lab::cut_power() {
  for (auto& machine : impl_->machines) machine.cut_power();
  impl_->poll_consoles();
  const std::lock_guard lock(impl_->mutex);
  for (auto& tracker : impl_->trackers) tracker.power_off(now());
}

void Lab::release() {
  for (auto& machine : impl_->machines) machine.release();
}

Result<void> Lab::look() {
  if (impl_->settings.cancelled && impl_->settings.cancelled()) {
    return fail(ErrorKind::cancelled, "stopped; the machines are switched off",
                "run the same command again: machines that are installed start from their disks");
  }
  for (std::size_t i = 0; i < impl_->specs.size(); ++i) BP_CHECK(impl_->check(i));
  return {};
}

Result<void> Lab::wait(std::string_view what, Milliseconds limit,
                       const std::function<bool(const StageTracker&)>& done) {
  const auto deadline = now() + limit;
  impl_->waiting = true;
  const auto end = [this](Result<void> result) {
    impl_->waiting = false;
    return result;
  };
  for (;;) {
    if (auto seen = look(); !seen)
      return end(std::unexpected(seen.error().during(std::string(what))));
    bool all = true;
    for (const auto& tracker : trackers()) all = all && done(tracker);
    if (all) return end({});
    if (now() > deadline) {
      return end(fail(ErrorKind::timeout,
                      fmt::format("{} took more than {}", what, format_duration(limit))));
    }
    std::this_thread::sleep_for(kPeriod);
  }
}

void Lab::assume_installed(std::size_t machine) {
  const std::lock_guard lock(impl_->mutex);
  impl_->trackers[machine].assume_installed();
}

const std::vector<MachineSpec>& Lab::specs() const {
  return impl_->specs;
}

std::vector<StageTracker> Lab::trackers() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->trackers;
}

std::vector<ProcessId> Lab::processes() const {
  std::vector<ProcessId> out;
  for (const auto& machine : impl_->machines) out.push_back(machine.id());
  return out;
}

}  // namespace bedplate::lab

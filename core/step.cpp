#include "core/step.hpp"

#include <map>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/json.hpp"
#include "core/log.hpp"

namespace bedplate {
namespace {

class FunctionStep final : public Step {
 public:
  FunctionStep(std::string id, std::string describe, std::function<Result<ProbeResult>()> probe,
               std::function<Result<void>()> apply)
      : id_(std::move(id)),
        describe_(std::move(describe)),
        probe_(std::move(probe)),
        apply_(std::move(apply)) {}
  std::string id() const override { return id_; }
  std::string describe() const override { return describe_; }
  Result<ProbeResult> probe() override { return probe_(); }
  Result<void> apply() override { return apply_(); }

 private:
  std::string id_;
  std::string describe_;
  std::function<Result<ProbeResult>()> probe_;
  std::function<Result<void>()> apply_;
};

class LastingStep final : public Step {
 public:
  LastingStep(std::unique_ptr<Step> step, std::chrono::milliseconds age, Clock& clock)
      : step_(std::move(step)), age_(age), clock_(clock) {}
  std::string id() const override { return step_->id(); }
  std::string describe() const override { return step_->describe(); }
  Result<void> apply() override { return step_->apply(); }

  Result<ProbeResult> probe() override {
    const auto now = clock_.monotonic();
    if (seen_ && now - seen_at_ < age_) return *seen_;
    seen_.reset();
    BP_TRY(auto result, step_->probe());
    if (result.probe == Probe::satisfied) {
      seen_ = result;
      seen_at_ = now;
    }
    return result;
  }

 private:
  std::unique_ptr<Step> step_;
  std::chrono::milliseconds age_;
  Clock& clock_;
  std::optional<ProbeResult> seen_;
  std::chrono::milliseconds seen_at_{0};
};

constexpr int settle_probes = 5;
constexpr std::chrono::seconds settle_pause{1};

class StepRun {
 public:
  StepRun(Step& step, const std::vector<StepObserver*>& observers, Clock& clock)
      : step_(step), observers_(observers), clock_(clock), start_(clock.monotonic()) {}

  Result<void> run() {
    auto before = step_.probe();
    if (!before) return failed(std::move(before).error());
    if (before->probe == Probe::conflict) return conflict(before->detail);
    if (before->probe == Probe::satisfied) {
      tell(StepState::satisfied, before->detail);
      return {};
    }
    tell(StepState::applying, before->detail);
    if (auto applied = step_.apply(); !applied) return failed(std::move(applied).error());
    auto after = settled();
    if (!after) return failed(std::move(after).error());
    if (after->probe == Probe::conflict) return conflict(after->detail);
    if (after->probe == Probe::missing) {
      return failed(Error(ErrorKind::internal,
                          fmt::format("it ran without an error, yet is still missing{}{}",
                                      after->detail.empty() ? "" : ": ", after->detail)));
    }
    tell(StepState::satisfied, after->detail);
    return {};
  }

 private:
  /// The probe after apply(), asked again while it says missing.
  Result<ProbeResult> settled() {
    auto result = step_.probe();
    for (int i = 1; i < settle_probes && result && result->probe == Probe::missing; ++i) {
      clock_.sleep(settle_pause);
      result = step_.probe();
    }
    return result;
  }

  void tell(StepState state, std::string detail, std::optional<Error> error = std::nullopt) {
    const StepEvent event{
        step_.id(),      step_.describe(), state, std::move(detail), clock_.monotonic() - start_,
        std::move(error)};
    for (auto* observer : observers_) observer->on_step(event);
  }

  std::unexpected<Error> failed(Error error) {
    error.during(fmt::format("{} ({})", step_.describe(), step_.id()));
    tell(StepState::failed, {}, error);
    return fail(std::move(error));
  }

  std::unexpected<Error> conflict(const std::string& detail) {
    Error error(ErrorKind::conflict, detail);
    error.during(fmt::format("{} ({})", step_.describe(), step_.id()));
    tell(StepState::conflict, detail, error);
    return fail(std::move(error));
  }

  Step& step_;
  const std::vector<StepObserver*>& observers_;
  Clock& clock_;
  std::chrono::milliseconds start_;
};

}  // namespace

std::string_view to_string(StepState state) {
  switch (state) {
    case StepState::pending:
      return "pending";
    case StepState::applying:
      return "applying";
    case StepState::satisfied:
      return "satisfied";
    case StepState::failed:
      return "failed";
    case StepState::conflict:
      return "conflict";
  }
  return "unknown";
}

struct Journal::Impl {
  UniqueFd fd;
  Clock* clock;
  std::map<std::string, std::string> outcome;  ///< step → its last outcome that was written
  std::string held;                            ///< the beginning of a retry, not written yet

  void append(const std::string& lines) const;
};

void Journal::Impl::append(const std::string& lines) const {
  // A hint only: a full disk must not stop the work that would free it.
  if (auto written = write_all(fd.get(), as_byte_span(lines)); !written) {
    log::debug("journal: {}, ignoring", written.error().what);
  }
}

Journal::Journal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::open(const std::filesystem::path& path, Clock& clock) {
  BP_TRY(auto fd, open_file(path, O_RDWR | O_CREAT | O_APPEND, 0640));
  auto content = read_file(path);
  if (content && !content->empty() && content->back() != '\n') {
    const auto end = content->rfind('\n');
    const auto keep = end == std::string::npos ? 0 : end + 1;
    if (::ftruncate(fd.get(), static_cast<off_t>(keep)) != 0) {
      return fail(system_error(errno, "cannot cut the torn tail of " + path.string()));
    }
  }
  return std::unique_ptr<Journal>(
      new Journal(std::make_unique<Impl>(Impl{std::move(fd), &clock, {}, {}})));
}

void Journal::on_step(const StepEvent& event) {
  Json line{{"time", format_rfc3339(impl_->clock->now())},
            {"step", event.id},
            {"state", to_string(event.state)},
            {"milliseconds", event.elapsed.count()}};
  if (!event.detail.empty()) line["detail"] = event.detail;
  if (event.error) line["error"] = event.error->to_json();
  const auto text = dump_text(line) + "\n";
  auto& last = impl_->outcome[event.id];
  if (event.state == StepState::applying) {
    // After a failure this is a retry: told together with its outcome, if that is another one.
    const bool retry = !last.empty() && last != to_string(StepState::satisfied);
    if (retry) {
      impl_->held = text;
    } else {
      last = to_string(StepState::applying);
      impl_->append(text);
    }
    return;
  }
  const auto held = std::exchange(impl_->held, {});
  std::string outcome(to_string(event.state));
  if (event.error) outcome += ": " + event.error->what;
  if (outcome == last) return;
  last = std::move(outcome);
  impl_->append(held + text);
}

Result<void> run_steps(const std::vector<std::unique_ptr<Step>>& steps,
                       const std::vector<StepObserver*>& observers, Clock& clock) {
  for (const auto& step : steps) BP_CHECK(StepRun(*step, observers, clock).run());
  return {};
}

std::unique_ptr<Step> make_step(std::string id, std::string describe,
                                std::function<Result<ProbeResult>()> probe,
                                std::function<Result<void>()> apply) {
  return std::make_unique<FunctionStep>(std::move(id), std::move(describe), std::move(probe),
                                        std::move(apply));
}

std::unique_ptr<Step> make_lasting(std::unique_ptr<Step> step, std::chrono::milliseconds age,
                                   Clock& clock) {
  return std::make_unique<LastingStep>(std::move(step), age, clock);
}

}  // namespace bedplate

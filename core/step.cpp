#include "core/step.hpp"

#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "core/file.hpp"
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
    auto after = step_.probe();
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
};

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
  return std::unique_ptr<Journal>(new Journal(std::make_unique<Impl>(Impl{std::move(fd), &clock})));
}

void Journal::on_step(const StepEvent& event) {
  nlohmann::json line{{"time", format_rfc3339(impl_->clock->now())},
                      {"step", event.id},
                      {"state", to_string(event.state)},
                      {"milliseconds", event.elapsed.count()}};
  if (!event.detail.empty()) line["detail"] = event.detail;
  if (event.error) line["error"] = event.error->to_json();
  // A hint only: a full disk must not stop the work that would free it.
  if (auto written = write_all(impl_->fd.get(), as_byte_span(line.dump() + "\n")); !written) {
    log::debug("journal: {}, ignoring", written.error().what);
  }
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

}  // namespace bedplate

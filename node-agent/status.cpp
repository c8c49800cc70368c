#include "node-agent/status.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/log.hpp"
#include "core/progress.hpp"

namespace bedplate::agent {
namespace {

constexpr int console_patience = 1000;  // milliseconds

}  // namespace

StatusBoard::StatusBoard(std::filesystem::path file, std::filesystem::path console, Clock& clock,
                         std::string node, std::string role)
    : file_(std::move(file)),
      console_(std::move(console)),
      clock_(clock),
      node_(std::move(node)),
      role_(std::move(role)),
      boot_id_(read_file("/proc/sys/kernel/random/boot_id").value_or("")) {
  while (!boot_id_.empty() && boot_id_.back() == '\n') boot_id_.pop_back();
}

void StatusBoard::expect(const std::vector<std::unique_ptr<Step>>& steps) {
  for (const auto& step : steps) line_of(step->id(), step->describe());
  write();
}

StatusBoard::Line& StatusBoard::line_of(const std::string& id, const std::string& describe) {
  const auto found = std::ranges::find(lines_, id, &Line::id);
  if (found != lines_.end()) return *found;
  lines_.push_back({id, describe, StepState::pending, clock_.now(), 0, {}, nullptr});
  return lines_.back();
}

void StatusBoard::on_step(const StepEvent& event) {
  auto& line = line_of(event.id, event.describe);
  const auto error = event.error ? event.error->to_json() : Json();
  const bool retry = event.state == StepState::applying && !line.error.is_null();
  const bool changed = line.state != event.state || line.error != error;
  line.detail = event.detail;
  if (!changed || retry) return;  // a retry of what failed is no news; its outcome is
  line.state = event.state;
  line.since = clock_.now();
  line.seconds = static_cast<double>(event.elapsed.count()) / 1000.0;
  line.error = error;
  write();
  const auto& detail = event.detail;
  switch (event.state) {
    case StepState::applying:
      say(fmt::format("agent/{}: started", event.id));
      break;
    case StepState::satisfied:
      say(fmt::format("agent/{}: ok ({})", event.id,
                      detail.empty() ? format_duration(event.elapsed) : detail));
      break;
    case StepState::failed:
    case StepState::conflict:
      say(fmt::format(
          "agent/{}: failed ({})", event.id,
          event.error ? event.error->what.substr(0, event.error->what.find('\n')) : detail));
      break;
    case StepState::pending:
      break;
  }
  log::write(event.error ? log::Level::warning : log::Level::info,
             fmt::format("{}: {}{}{}", event.id, to_string(event.state), event.error ? ": " : "",
                         event.error ? event.error->what : ""),
             {{"BEDPLATE_STEP", event.id}, {"BEDPLATE_STATE", to_string(event.state)}});
}

void StatusBoard::set_phase(const std::string& phase) {
  if (phase == phase_) return;
  phase_ = phase;
  write();
  say("agent: " + phase);
}

void StatusBoard::cannot_start(const Error& error) {
  const auto text = dump_text(error.to_json());
  const auto before = read_json(file_);
  const auto steps = before && before->is_object() ? before->value("steps", Json::array()) : Json();
  const bool known = steps.is_array() && !steps.empty() && steps.back().is_object() &&
                     steps.back().value("id", Json()) == "start" &&
                     dump_text(steps.back().value("error", Json())) == text;
  phase_ = "failed";
  auto& line = line_of("start", "find out what this node is");
  line.state = StepState::failed;
  line.error = error.to_json();
  write();
  if (!known) {
    say(fmt::format("agent/start: failed ({})", error.what.substr(0, error.what.find('\n'))));
  }
}

void StatusBoard::write() const {
  Json steps = Json::array();
  for (const auto& line : lines_) {
    steps.push_back({{"id", line.id},
                     {"describe", line.describe},
                     {"state", to_string(line.state)},
                     {"since", format_rfc3339(line.since)},
                     {"seconds", line.seconds},
                     {"detail", line.detail},
                     {"error", line.error}});
  }
  const Json all{{"node", node_},
                 {"role", role_},
                 {"bootId", boot_id_},
                 {"phase", phase_},
                 {"steps", std::move(steps)}};
  if (auto written = write_file_atomic(file_, dump_text(all, 2) + "\n"); !written) {
    log::debug("status: {}, ignoring", written.error().what);
  }
}

void StatusBoard::say(const std::string& line) const {
  auto fd = open_file(console_, O_WRONLY | O_NOCTTY | O_NONBLOCK);
  if (!fd) return;  // a host without a console misses nothing: the journal has it too
  const auto text = fmt::format("bedplate: {}\n", line);
  // Not blocking: a console that stands still (flow control, a serial line nobody reads) must not
  // stop the work. A busy one is waited for.
  for (std::string_view rest = text; !rest.empty();) {
    const auto written = ::write(fd->get(), rest.data(), rest.size());
    if (written > 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    pollfd room{fd->get(), POLLOUT, 0};
    if ((errno != EAGAIN && errno != EINTR) || ::poll(&room, 1, console_patience) <= 0) return;
  }
}

}  // namespace bedplate::agent

#include "node-agent/agent.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <thread>

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "core/file.hpp"
#include "core/log.hpp"
#include "node-agent/cluster/steps.hpp"
#include "node-agent/context.hpp"
#include "node-agent/host/saved_time.hpp"
#include "node-agent/status.hpp"

namespace bedplate::agent {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view state_folder = "/var/lib/bedplate";

Result<BundleFacts> read_bundle(const std::filesystem::path& path, const Site& site) {
  BP_TRY(const auto reader, bundle::Reader::open(path, site.trust.bundle_keys));
  BundleFacts facts;
  facts.path = path;
  BP_TRY(facts.payload_version, reader.artifact_version("node-payload"));
  const auto* payload = reader.header().artifact("node-payload");
  if (payload == nullptr) {
    return fail(ErrorKind::not_found, "the bundle has no artifact 'node-payload'");
  }
  facts.payload_digest = payload->digest.str();
  facts.created_at = reader.header().created_at;
  for (const auto& image : reader.header().images) facts.images.push_back(image.name);
  return facts;
}

Result<void> read_inputs(Context& context) {
  const auto folder = context.at(state_folder);
  BP_TRY(context.site, read_site(folder / "site.yaml"));
  BP_TRY(const auto node, read_json(folder / "node.json"));
  BP_TRY(const auto name, json_string(node, "name"));
  const auto* self = context.site.find(name);
  if (self == nullptr) {
    return fail(ErrorKind::invalid, fmt::format("node.json says this is '{}', which the site file "
                                                "does not have",
                                                name));
  }
  context.self = *self;
  BP_TRY(context.bundle, read_bundle(folder / "site.bundle", context.site));
  BP_TRY(context.overrides, Overrides::read(context.at("/etc/bedplate/overrides.yaml")));
  for (const auto& line : context.overrides.in_effect) {
    log::warning("override in effect: {}", line);
  }
  return {};
}

void append(StepList& steps, StepList more) {
  steps.insert(steps.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
}

Result<StepList> all_steps(const Context& context, std::unique_ptr<NodeApi>& api) {
  BP_TRY(const auto enrolment, read_enrolment(context.at(state_folder) / "enrolment.json"));
  StepList steps = host_steps(context);
  append(steps, runtime_steps(context));
  if (context.bootstrap()) {
    append(steps, control_plane_steps(context));
    steps.push_back(node_api_step(context, enrolment, api));
  } else {
    if (context.self.role == Role::control_plane) {
      return fail(ErrorKind::unsupported,
                  "this version can make one control plane; a second one cannot join yet",
                  "give the node the role worker in the site file");
    }
    const auto secret = enrolment.find(context.self.name);
    if (secret == enrolment.end()) {
      return fail(ErrorKind::invalid,
                  fmt::format("enrolment.json has no secret for {}", context.self.name));
    }
    steps.push_back(join_step(context, secret->second));
    append(steps, worker_steps(context));
  }
  append(steps, network_steps(context));
  steps.push_back(boot_note_step(context));
  return steps;
}

/// SIGTERM and SIGINT as a descriptor to wait on: the loop ends between two passes, and systemd
/// kills what does not end.
UniqueFd ending_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

bool ended_within(const UniqueFd& signals, std::chrono::seconds time) {
  pollfd waiting{signals.get(), POLLIN, 0};
  return ::poll(&waiting, 1, static_cast<int>(time.count() * 1000)) > 0;
}

/// Tells systemd's watchdog that the process lives, from a thread of its own, since a step may
/// rightly take many minutes. A loop that has not come from one step to the next for longer than
/// any step may take hangs: then systemd is no longer told, and starts the agent anew.
class Watchdog final : public StepObserver {
 public:
  Watchdog() : thread_([this](const std::stop_token& stop) { run(stop); }) {}
  void on_step(const StepEvent&) override { alive(); }
  void alive() { last_ = std::chrono::steady_clock::now().time_since_epoch().count(); }

 private:
  void run(const std::stop_token& stop) const {
    for (int ticks = 0; !stop.stop_requested(); ++ticks) {
      const auto age = std::chrono::steady_clock::now().time_since_epoch() -
                       std::chrono::steady_clock::duration(last_.load());
      if (ticks % 30 == 0 && age < longest_step) sd_notify(0, "WATCHDOG=1");
      std::this_thread::sleep_for(1s);
    }
  }

  static constexpr std::chrono::minutes longest_step{45};
  std::atomic<std::chrono::steady_clock::rep> last_{
      std::chrono::steady_clock::now().time_since_epoch().count()};
  std::jthread thread_;
};

/// For whoever stands in front of the machine: nobody logs in to read the journal.
void show_failure(const Context& context, const Error& error) {
  if (const auto made = make_directories(context.at("/run/bedplate")); !made) {
    log::debug("status: {}, ignoring", made.error().what);
    return;
  }
  const bool known = !context.self.name.empty();
  StatusBoard board(context.at("/run/bedplate/status.json"), context.at("/dev/console"),
                    *context.clock, known ? context.self.name : "this node",
                    known ? std::string(to_string(context.self.role)) : "unknown");
  board.cannot_start(error);
}

Result<int> converge(Context& context) {
  std::unique_ptr<NodeApi> api;
  BP_TRY(const auto steps, all_steps(context, api));
  BP_CHECK(make_directories(context.at("/run/bedplate")));
  StatusBoard board(context.at("/run/bedplate/status.json"), context.at("/dev/console"),
                    *context.clock, context.self.name, std::string(to_string(context.self.role)));
  board.expect(steps);
  BP_TRY(const auto journal,
         Journal::open(context.at(state_folder) / "journal.jsonl", *context.clock));
  const auto signals = ending_signals();
  sd_notify(0, "READY=1");
  Watchdog watchdog;
  // From the start: it never saves an earlier time than is saved, so that a clock which is still to
  // be set does no harm.
  const TimeSaver time_saver(context.root, *context.clock);
  auto wait = 2s;
  bool ever_ready = false;
  while (true) {
    const bool ready =
        run_steps(steps, {&watchdog, &board, journal.get()}, *context.clock).has_value();
    ever_ready = ever_ready || ready;
    board.set_phase(ready ? "ready" : (ever_ready ? "degraded" : "converging"));
    sd_notify(0, fmt::format("STATUS={}", board.phase()).c_str());
    wait = ready ? 10s : std::min(wait * 2, std::chrono::seconds(10));
    if (ended_within(signals, wait)) return 0;
    if (ready) wait = 2s;
  }
}

Result<int> start(Context& context) {
  BP_CHECK_DURING("reading what this node is", read_inputs(context));
  return converge(context);
}

}  // namespace

Result<int> run_agent(const std::filesystem::path& root) {
  SystemProcessRunner runner;
  SystemClock clock;
  const auto http = make_http_client();
  Context context;
  context.root = root;
  context.runner = &runner;
  context.clock = &clock;
  context.http = http.get();
  auto ended = start(context);
  if (!ended) show_failure(context, ended.error());
  return ended;
}

}  // namespace bedplate::agent

#include "installer/install.hpp"

#include <fmt/format.h>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "core/process.hpp"
#include "installer/apply/installation.hpp"
#include "installer/apply/mount.hpp"
#include "installer/medium.hpp"
#include "installer/probe/probe.hpp"
#include "installer/resume.hpp"
#include "installer/ui/console.hpp"

namespace bedplate::installer {
namespace {

constexpr std::string_view kStateMount = "/run/bedplate/install/state";
constexpr std::string_view kLock = "/run/bedplate/install.lock";

enum class Outcome { shown, installed, restart_to_disk };

/// One attempt at installing this machine.
class Attempt {
 public:
  Attempt(const InstallOptions& options, Console& console, ProcessRunner& runner, Clock& clock)
      : options_(options), console_(console), runner_(runner), clock_(clock) {}

  Result<Outcome> run() {
    BP_CHECK(make_directories("/run/bedplate"));
    BP_TRY(const auto lock, FileLock::acquire(kLock, false));
    BP_TRY(const auto keys, read_trusted_keys(options_.trust));
    const auto bundles = make_bundle_checker(keys);
    BP_TRY(const auto medium, read_medium(options_.medium, keys, *bundles));
    unmount_leftover(kStateMount);
    ProbeOptions probe_options;
    probe_options.medium = options_.medium;
    BP_TRY_DURING(const auto host, "looking at this machine", probe_host(probe_options, runner_));
    BP_TRY(const auto* node, find_this_node(medium.site, host));
    if (const auto* disk = find_installed(medium.site, *node, host)) {
      return to_disk(medium, host, *disk);
    }
    BP_TRY_DURING(const auto plan, "planning the installation",
                  make_plan(medium.site, host, medium.system, medium.bundle));
    show(plan, keys);
    if (options_.mode == InstallMode::dry_run) return Outcome::shown;
    BP_CHECK(check_hash(plan));
    return apply(medium, host, plan, *bundles);
  }

 private:
  void show(const Plan& plan, const std::vector<PublicKey>& keys) {
    if (options_.json) {
      auto json = to_json(plan);
      json["hash"] = plan.hash();
      console_.page(dump_text(json));
      return;
    }
    console_.page(to_text(plan));
    if (options_.mode == InstallMode::dry_run) return;
    for (const auto& key : keys) {
      console_.say(fmt::format("bedplate: bundle key {}", key.fingerprint()));
    }
    console_.say(fmt::format("bedplate: site {}, node {} ({}), disk {}", plan.site_name, plan.node,
                             plan.role, plan.disk_summary));
    console_.say(fmt::format("bedplate: plan {}{}", plan.hash(),
                             plan.continues ? ", continues an unfinished installation" : ""));
    for (const auto& line : plan.destroyed) console_.say("bedplate: destroys " + line);
  }

  Result<void> check_hash(const Plan& plan) const {
    if (options_.mode != InstallMode::approved || options_.plan_hash == plan.hash()) return {};
    return fail(ErrorKind::conflict,
                fmt::format("the plan is now {}, approved was {}", plan.hash(), options_.plan_hash),
                "look at it again with: bedplate install --dry-run");
  }

  Result<Outcome> to_disk(const Medium& medium, const ProbedHost& host, const ProbedDisk& disk) {
    console_.say(
        fmt::format("bedplate: site {} is installed on {} already", medium.site.name, disk.node));
    if (options_.mode != InstallMode::unattended) return Outcome::shown;
    BP_CHECK(continue_from_disk(medium.site, host, disk, runner_, clock_));
    return Outcome::restart_to_disk;
  }

  Result<Outcome> apply(const Medium& medium, const ProbedHost& host, const Plan& plan,
                        BundleChecker& bundles) {
    const auto disk = make_kernel_disk(plan.disk_name, runner_, clock_);
    const auto progress = make_install_progress(console_);
    Installation installation{.site = medium.site,
                              .plan = plan,
                              .sources = {options_.loader, medium.folder},
                              .disk = *disk,
                              .bundles = bundles,
                              .runner = runner_,
                              .clock = clock_,
                              .progress = progress.get(),
                              .state_mount = kStateMount,
                              .efi_variables = host.efi_variables};
    ConsoleObserver observer(console_);
    BP_CHECK_DURING(fmt::format("installing node '{}' on {}", plan.node, plan.disk_node),
                    run_steps(make_install_steps(installation), {&observer}, clock_));
    return Outcome::installed;
  }

  const InstallOptions& options_;
  Console& console_;
  ProcessRunner& runner_;
  Clock& clock_;
};

Result<int> restart(Console& console, ProcessRunner& runner, Outcome outcome) {
  console.say(outcome == Outcome::installed ? "bedplate: install: ok, restarting"
                                            : "bedplate: install: skipped, restarting from disk");
  BP_CHECK_DURING("restarting", runner.check({"systemctl", "reboot"}));
  return 0;
}

}  // namespace

Result<int> run_install(const InstallOptions& options) {
  Console console(options.mode == InstallMode::unattended ? "/dev/console" : "");
  SystemProcessRunner runner;
  SystemClock clock;
  const bool unattended = options.mode == InstallMode::unattended;
  if (unattended) console.say("bedplate: install: started");
  while (true) {
    auto outcome = Attempt(options, console, runner, clock).run();
    if (outcome) {
      if (*outcome == Outcome::shown || !unattended) return 0;
      return restart(console, runner, *outcome);
    }
    if (!unattended) return fail(std::move(outcome).error());
    console.say(outcome.error().render() + "bedplate: install: failed\n");
    console.say("Press Enter to try again.");
    // Without a screen nobody can: the service fails, and the machine stays as it is.
    if (!console.wait_for_enter()) return fail(std::move(outcome).error());
    console.say("bedplate: install: started");
  }
}

}  // namespace bedplate::installer

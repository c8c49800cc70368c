#include "qemu-tests/lab/commands.hpp"

#include <atomic>
#include <csignal>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/file.hpp"
#include "qemu-tests/lab/rehearse.hpp"

namespace bedplate {
namespace {

std::atomic<bool> stop_asked{false};

/// The first signal ends the rehearsal in order; the second one the process.
void catch_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { stop_asked = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
}

struct Arguments {
  lab::RehearseOptions options;
  std::string report;
  bool stop = false;
};

void print_summary(const lab::Rehearsal& rehearsal) {
  const auto& report = rehearsal.report();
  if (report.machines.empty()) return;  // it ended before there was a machine
  fmt::print("\n{}{}", lab::stage_table(report.machines), lab::phase_table(report.phases));
  if (!report.nodes.empty()) fmt::print("\n{}", lab::node_table(report.nodes));
  if (!report.pods.empty()) fmt::print("\n{}", lab::pod_table(report.pods));
  for (const auto& answer : report.service_answers)
    fmt::print("\nthe client pod said:\n{}", answer);
  fmt::print("\naccelerator: {}, QEMU {}\n", report.accelerator, report.emulator);
  fmt::print("frames:      {}, for elsewhere: {}\n", report.network.frames,
             report.network.elsewhere);
  for (const auto& [kind, count] : report.network.elsewhere_kinds) {
    fmt::print("             {} times {}\n", count, kind);
  }
  for (const auto& machine : report.machines) {
    if (machine.verity) fmt::print("system root: {}: {}\n", machine.name, *machine.verity);
    if (machine.lab_settings)
      fmt::print("lab settings: {}: {}\n", machine.name, *machine.lab_settings);
    for (const auto& crash : machine.crashes) {
      fmt::print(
          "crash:       {}: at '{}': {}{}\n", machine.name, crash.stage, crash.what,
          lab::is_fault_of_emulation(crash, report)
              ? " (a fault of this QEMU's emulation, which hardware and QEMU 8.1 do not have)"
              : "");
    }
  }
  if (report.decoy_unchanged) {
    fmt::print("decoy disk:  {}\n", *report.decoy_unchanged ? "unchanged" : "CHANGED");
  }
  fmt::print("{}", rehearsal.directions());
}

Result<int> rehearse(const Arguments& arguments, const Invocation& invocation) {
  if (arguments.stop) {
    BP_CHECK(lab::stop_kept(arguments.options));
    return 0;
  }
  if (arguments.options.source.site.empty()) {
    return fail(ErrorKind::usage, "no site file was named",
                "bedplate rehearse SITE.yaml --iso FILE");
  }
  catch_signals();
  auto options = arguments.options;
  options.cancelled = [] { return stop_asked.load(); };
  SystemProcessRunner runner;
  auto progress = make_console_progress();
  lab::Rehearsal rehearsal(std::move(options), runner, *progress);
  const auto result = rehearsal.run();
  progress.reset();
  const auto json = lab::report_to_json(rehearsal.report());
  if (!arguments.report.empty()) BP_CHECK(write_file_atomic(arguments.report, json));
  if (invocation.json) {
    if (result) fmt::print("{}", json);
  } else {
    print_summary(rehearsal);
  }
  BP_CHECK(result);
  for (const auto& finding : rehearsal.report().findings) {
    fmt::print(stderr, "finding: {}\n", finding);
  }
  if (rehearsal.report().findings.empty()) return 0;
  return fail(ErrorKind::conflict,
              "the rehearsal ran to its end, but not everything was as it must be",
              "the findings above say what; --report FILE keeps everything that was seen");
}

void add_options(CLI::App& command, Arguments& arguments) {
  auto& options = arguments.options;
  auto& source = options.source;
  command.add_option("site", source.site, "Site file");
  command.add_option("--iso", source.iso, "Medium to install from (`bedplate image iso`)");
  command.add_option("--system", source.system, "Folder of the system image, to make a medium of");
  command.add_option("--bundle", source.bundle, "Bundle, to make a medium of");
  command.add_option("--secrets", source.secrets,
                     "Secrets of the site; default: beside the site file");
  command.add_option("--nodes", options.nodes,
                     "Only the first N machines, the bootstrap node first");
  command.add_flag("--keep", options.keep, "Leave the machines running at the end");
  command.add_flag("--stop", arguments.stop, "Switch off machines that --keep left running");
  command.add_flag("--fresh", options.fresh, "Begin anew, also after an interruption");
  command.add_flag("--decoy", options.decoy, "Give the first machine a second disk with data");
  command.add_flag("--pcap", options.capture, "Record every frame");
  command.add_option("--work", options.work, "Folder for disks, logs and reports");
  command.add_option("--report", arguments.report, "Write what was seen as JSON");
}

}  // namespace

void add_rehearse_commands(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand(
      "rehearse", "Build the site out of QEMU machines here, before anyone travels");
  const auto arguments = std::make_shared<Arguments>();
  command->footer(
      "The machines have firmware, the medium, a disk and a network without any way out.\n"
      "Examples:\n  bedplate rehearse site.yaml --iso site.iso\n"
      "  bedplate rehearse site.yaml --iso site.iso --nodes 1 --keep\n  bedplate rehearse --stop");
  add_options(*command, *arguments);
  command->callback([arguments, &invocation] {
    invocation.action = [arguments, &invocation] { return rehearse(*arguments, invocation); };
  });

  auto* network = app.add_subcommand("lab-network", "Runs the network of a rehearsal")->group("");
  const auto plan = std::make_shared<std::filesystem::path>();
  network->add_option("--plan", *plan, "What `rehearse` wrote")->required();
  network->callback([plan, &invocation] {
    invocation.action = [plan] { return lab::run_network_process(*plan); };
  });
}

}  // namespace bedplate

#include "installer/commands.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "installer/install.hpp"

namespace bedplate {
namespace {

using installer::InstallMode;
using installer::InstallOptions;

Result<int> run(InstallOptions& options, bool dry_run, bool unattended) {
  const int modes = (dry_run ? 1 : 0) + (unattended ? 1 : 0) + (options.plan_hash.empty() ? 0 : 1);
  if (modes != 1) {
    return fail(ErrorKind::usage, "say what to do: --dry-run, --plan-hash HASH or --unattended",
                "bedplate install --dry-run shows the plan and its hash and changes nothing");
  }
  options.mode = dry_run      ? InstallMode::dry_run
                 : unattended ? InstallMode::unattended
                              : InstallMode::approved;
  return installer::run_install(options);
}

}  // namespace

void add_install_commands(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<InstallOptions>();
  auto dry_run = std::make_shared<bool>(false);
  auto unattended = std::make_shared<bool>(false);
  auto* sub = app.add_subcommand("install", "Install this machine from the medium");
  sub->footer(
      "Runs by itself on a machine that booted from the medium.\n"
      "Example, to see what it would do to this machine:\n"
      "  bedplate install --dry-run");
  sub->add_option("--medium", options->medium, "Where the medium is mounted")
      ->capture_default_str();
  sub->add_flag("--dry-run", *dry_run, "Show the plan and its hash; change nothing");
  sub->add_option("--plan-hash", options->plan_hash, "Carry out the plan with this hash only");
  sub->add_flag(
      "--unattended", *unattended,
      "Carry out the plan of the site file, wait for Enter after a failure, then restart");
  sub->add_option("--loader", options->loader, "Folder with the boot loader's files")
      ->capture_default_str();
  sub->add_option("--trust", options->trust, "File with the bundle keys to accept")
      ->capture_default_str();
  sub->callback([&invocation, options, dry_run, unattended] {
    options->json = invocation.json;
    invocation.action = [options, dry_run, unattended] {
      return run(*options, *dry_run, *unattended);
    };
  });
}

}  // namespace bedplate

// The only place that prints an error and chooses the exit code.

#include <csignal>
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "airgap-bundle/commands.hpp"
#include "core/command.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "imagebuild/commands.hpp"
#include "installer/commands.hpp"
#include "node-agent/commands.hpp"
#include "qemu-tests/lab/commands.hpp"

namespace {

using bedplate::Error;
using bedplate::Invocation;

int report(const Error& error, bool json) {
  if (json) {
    fmt::print("{}\n", bedplate::dump_text(error.to_json()));
  } else {
    fmt::print(stderr, "{}", error.render());
  }
  return bedplate::exit_code(error.kind);
}

void add_all_commands(CLI::App& app, Invocation& invocation) {
  bedplate::add_site_commands(app, invocation);
  bedplate::add_bundle_commands(app, invocation);
  bedplate::add_image_commands(app, invocation);
  bedplate::add_install_commands(app, invocation);
  bedplate::add_agent_commands(app, invocation);
  bedplate::add_rehearse_commands(app, invocation);
}

int run(int argc, char** argv) {
  CLI::App app{"bedplate: from bare machines to a running platform, without internet"};
  app.name("bedplate");
  app.set_version_flag("--version", BEDPLATE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  Invocation invocation;
  app.add_flag("--json", invocation.json, "Print one JSON document on standard output");
  app.add_flag("-v,--verbose", invocation.verbose, "Say more on standard error");
  add_all_commands(app, invocation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return report(Error(bedplate::ErrorKind::usage, error.what())
                      .with_hint("run the command with --help to see what it takes"),
                  invocation.json);
  }
  using bedplate::log::Level;
  bedplate::log::setup(invocation.verbose ? Level::debug : Level::info);
  if (!invocation.action) return app.exit(CLI::CallForHelp());
  auto result = invocation.action();
  return result ? *result : report(result.error(), invocation.json);
}

}  // namespace

int main(int argc, char** argv) {
  // A closed pipe or socket is an error of the write that met it, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return report(Error(bedplate::ErrorKind::internal, error.what())
                      .with_hint("this is a bug: please report it with the output of --verbose"),
                  false);
  }
}

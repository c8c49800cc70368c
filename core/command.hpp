#pragma once

#include <functional>
#include <string>

#include "core/result.hpp"

namespace CLI {
class App;
}

namespace bedplate {

/// What the command line asked for. A subcommand's callback sets `action`; main runs it, prints its
/// error and turns its value into the exit code.
struct Invocation {
  bool json = false;     ///< --json: one JSON document on standard output
  bool verbose = false;  ///< --verbose: debug lines
  std::function<Result<int>()> action;
};

void add_site_commands(CLI::App& app, Invocation& invocation);

}  // namespace bedplate

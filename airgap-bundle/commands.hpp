#pragma once

#include "core/command.hpp"

namespace bedplate {

/// `bedplate bundle …` and `bedplate inventory`.
void add_bundle_commands(CLI::App& app, Invocation& invocation);

}  // namespace bedplate

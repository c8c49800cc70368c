#pragma once

#include "core/command.hpp"

namespace bedplate {

/// `bedplate bundle create|inspect|verify|serve`.
void add_bundle_commands(CLI::App& app, Invocation& invocation);

}  // namespace bedplate

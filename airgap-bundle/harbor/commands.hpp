#pragma once

#include "core/command.hpp"

namespace bedplate {

/// `bedplate harbor apply|check`.
void add_harbor_commands(CLI::App& app, Invocation& invocation);

}  // namespace bedplate

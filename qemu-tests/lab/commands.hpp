#pragma once

#include "core/command.hpp"

namespace bedplate {

/// `bedplate rehearse`, and the hidden command that runs its network.
void add_rehearse_commands(CLI::App& app, Invocation& invocation);

}  // namespace bedplate

#pragma once

#include "core/command.hpp"

namespace bedplate {

/// `bedplate agent|status|console|kubeconfig`.
void add_agent_commands(CLI::App& app, Invocation& invocation);

}  // namespace bedplate

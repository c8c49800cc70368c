#pragma once

#include "core/command.hpp"

namespace bedplate {

/// `bedplate install`.
void add_install_commands(CLI::App& app, Invocation& invocation);

}  // namespace bedplate

#pragma once

#include "core/command.hpp"

namespace bedplate {

/// `bedplate bundle push`.
void add_push_command(CLI::App& bundle, Invocation& invocation);

}  // namespace bedplate

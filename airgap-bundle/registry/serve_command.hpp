#pragma once

#include "core/command.hpp"

namespace bedplate {

/// `bedplate bundle serve`.
void add_serve_command(CLI::App& bundle, Invocation& invocation);

}  // namespace bedplate

#pragma once

#include "core/command.hpp"

namespace bedplate {

void add_extract_command(CLI::App& bundle, Invocation& invocation);

}  // namespace bedplate

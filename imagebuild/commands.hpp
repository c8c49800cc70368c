#pragma once

#include "core/command.hpp"

namespace bedplate {

/// `bedplate image system|iso`.
void add_image_commands(CLI::App& app, Invocation& invocation);

}  // namespace bedplate

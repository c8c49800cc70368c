#pragma once

#include "core/command.hpp"

namespace CLI {
class App;
}

namespace bedplate {

/// `bundle sbom`.
void add_sbom_command(CLI::App& bundle, Invocation& invocation);

}  // namespace bedplate

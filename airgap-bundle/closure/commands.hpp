#pragma once

#include <CLI/App.hpp>

#include "core/command.hpp"

namespace bedplate {

/// `bundle images`: what charts and manifests ask for, before there is a bundle.
void add_images_command(CLI::App& bundle, Invocation& invocation);

}  // namespace bedplate

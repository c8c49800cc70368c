#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "core/clock.hpp"
#include "core/command.hpp"
#include "core/result.hpp"

namespace bedplate {

/// Adds `bundle create`, `bundle resolve` and `bundle gc`.
void add_collect_commands(CLI::App& bundle, Invocation& invocation);

/// What --created says; without it SOURCE_DATE_EPOCH, else now.
Result<WallTime> creation_time(const std::string& word);

}  // namespace bedplate

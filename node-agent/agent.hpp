#pragma once

#include <filesystem>

#include "core/result.hpp"

namespace bedplate::agent {

/// Brings this node to what the site file says, and keeps it there. Runs until SIGTERM. Reads
/// /var/lib/bedplate/{site.yaml,node.json,enrolment.json,site.bundle} below `root`; errors in these
/// are shown by `bedplate status` and the console, and end it; errors of steps are shown and tried
/// again (2 s, doubling to 10 s).
Result<int> run_agent(const std::filesystem::path& root = "/");

}  // namespace bedplate::agent

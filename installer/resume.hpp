#pragma once

#include <string>

#include "core/clock.hpp"
#include "core/process.hpp"
#include "core/site.hpp"
#include "installer/probe/host.hpp"

namespace bedplate::installer {

/// The disk that carries the complete installation of this very node of this site; nullptr if none.
const ProbedDisk* find_installed(const Site& site, const SiteNode& node, const ProbedHost& host);

/// The medium was started although the machine is installed: makes the firmware start the disk
/// next. The attempt is noted on the disk's ESP; another one within half an hour means that the
/// disk does not start, which is an error and not a restart (ErrorKind::conflict). The node agent
/// takes the note away once the node has come up (step boot-note). The caller restarts.
Result<void> continue_from_disk(const Site& site, const ProbedHost& host, const ProbedDisk& disk,
                                ProcessRunner& runner, Clock& clock);

}  // namespace bedplate::installer

#pragma once

#include <cstdint>

#include "core/result.hpp"
#include "core/site.hpp"
#include "installer/probe/host.hpp"

namespace bedplate::installer {

/// The one disk that the node's selector names. The boot medium, read-only and too small disks are
/// never candidates. not_found lists every disk with the reason; ambiguous shows the candidates.
Result<const ProbedDisk*> choose_disk(const SiteNode& node, const ProbedHost& host,
                                      std::uint64_t minimum_size);

}  // namespace bedplate::installer

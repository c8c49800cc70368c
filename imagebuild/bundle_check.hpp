#pragma once

#include <filesystem>
#include <string>

#include "core/result.hpp"
#include "core/site.hpp"

namespace bedplate::bundle {
struct Header;
}

namespace bedplate::image {

/// The bundle's header is signed by one of the site's keys, the file is as long as the header says,
/// and its Kubernetes is the site's. (The installer verifies every blob; here only what would make
/// a medium useless is looked for.) ErrorKind::untrusted, corrupt, invalid.
Result<void> check_bundle(const std::filesystem::path& bundle, const Site& site);

/// ErrorKind::invalid when the bundle's API server is of another version, or there is none.
Result<void> check_kubernetes(const bundle::Header& header, const std::string& wanted);

}  // namespace bedplate::image

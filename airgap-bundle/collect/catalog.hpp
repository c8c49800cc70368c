#pragma once

#include <filesystem>

#include "airgap-bundle/collect/spec.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// Reads a specification, and puts the charts, images and allowances of the components it names
/// under `catalog` into their lists. `root`: folder of the catalog's path.
/// ErrorKind::invalid lists every finding of the specification, else of all components, each with
/// its file, line and field; not_found for a component that is not there.
Result<BundleSpec> load_spec(const std::filesystem::path& file, const std::filesystem::path& root);

/// The second half of that.
Result<void> expand_catalogs(BundleSpec& spec, const std::filesystem::path& root);

}  // namespace bedplate::collect

#pragma once

#include <string>
#include <vector>

#include "airgap-bundle/collect/spec.hpp"
#include "core/result.hpp"

namespace bedplate::sets {

struct AdditionOptions {
  std::vector<std::string> images;  ///< full references
  std::string source;               ///< as in a specification; empty: each under its own name
  std::string platform = "linux/amd64";
  bool plain_http = false;
  std::string name;
  std::string version;
};

/// The specification of a bundle that holds these images and nothing else, as if somebody had
/// written it. ErrorKind::usage when one source is to be several images; invalid for a reference
/// that is none.
Result<collect::BundleSpec> addition_spec(const AdditionOptions& options);

}  // namespace bedplate::sets

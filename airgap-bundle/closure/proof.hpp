#pragma once

#include <functional>
#include <string>
#include <vector>

#include "airgap-bundle/closure/references.hpp"
#include "core/json.hpp"

namespace bedplate::closure {

/// An image that may be absent, with the reason for which a person allowed that.
struct AllowedMissing {
  oci::Reference image;
  std::string reason;
};

/// An image that something asks for, everywhere it does.
struct Need {
  oci::Reference image;
  std::vector<std::string> where;
  Certainty certainty = Certainty::text;  ///< the surest of its places
};

/// What was found, and whether it is there. `missing` empty: closed.
struct Proof {
  struct Present {
    Need need;
    std::string digest;  ///< of the manifest in the bundle
  };
  struct Allowed {
    Need need;
    std::string reason;
  };
  std::vector<Present> present;
  std::vector<Allowed> allowed;
  std::vector<Need> missing;
  std::vector<std::string> unused;  ///< allowed to be missing, but asked for by nothing

  bool closed() const { return missing.empty(); }
};

/// Where an image is in the bundle: digest of its manifest, or empty.
using Lookup = std::function<std::string(const oci::Reference&)>;

/// Compares what was found with what there is. Sorted by name, so that reports can be compared.
Proof prove(const std::vector<FoundImage>& found, const std::vector<AllowedMissing>& allowed,
            const Lookup& lookup);

/// One paragraph per missing image, with every place; for an error or a report.
std::string missing_text(const Proof& proof);
Json to_json(const Proof& proof);

}  // namespace bedplate::closure

#pragma once

#include <vector>

#include "core/site.hpp"
#include "core/yaml.hpp"

namespace bedplate {

/// Reads the fields of a site file, each with its own check. What is wrong becomes a finding of
/// `root` and a default in the result, which is a valid site only when there are no findings.
Site site_from(const YamlNode& root);

/// Finds what must hold between fields and between nodes, and fills in the default bootstrap node.
/// `places` are the entries of `nodes`, in the order of `site.nodes`.
void check_site(const YamlNode& root, const std::vector<YamlNode>& places, Site& site);

/// Whether `text` is one X.509 certificate in PEM and nothing else.
bool is_certificate(const std::string& text);

}  // namespace bedplate

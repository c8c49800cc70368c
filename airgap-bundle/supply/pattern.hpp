#pragma once

#include <string_view>

#include "airgap-bundle/oci/reference.hpp"

namespace bedplate::supply {

/// Whether a policy's pattern means that image. `*` stands for any characters but a slash, `**` for
/// any at all. A pattern without a tag means every tag: "registry.example/**" and
/// "registry.example/team/app" both mean registry.example/team/app:1.0.
bool means(std::string_view pattern, const oci::Reference& image);

}  // namespace bedplate::supply

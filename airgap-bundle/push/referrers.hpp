#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "airgap-bundle/oci/descriptor.hpp"
#include "airgap-bundle/registry/uploader.hpp"
#include "core/result.hpp"

namespace bedplate::push {

/// "sha256-<hex>": the tag under which a registry without a list of referrers keeps one as an index
/// (OCI distribution-spec 1.1, "Referrers Tag Schema").
std::string referrers_tag(const Digest& subject);

/// How a list of referrers names a manifest: with its artifact type and annotations.
Result<oci::Descriptor> referrer_descriptor(std::string_view manifest, std::string_view media_type);

/// The index with that referrer in it, or nothing when it is in there already. `index` is what the
/// tag has now. ErrorKind::conflict when that is no index.
Result<std::optional<std::string>> with_referrer(const std::optional<std::string>& index,
                                                 const oci::Descriptor& referrer);

/// Sees to it that who asks for the subject's referrers finds this one. Only one at a time for each
/// registry: the list is read, changed and written.
Result<void> list_referrer(registry::Uploader& uploader, const Digest& subject,
                           const oci::Descriptor& referrer);

}  // namespace bedplate::push

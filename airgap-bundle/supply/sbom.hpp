#pragma once

#include "airgap-bundle/bundle/reader.hpp"
#include "core/json.hpp"
#include "core/result.hpp"

namespace bedplate::supply {

/// What the bundle holds, as an SPDX 2.3 document (spdx.github.io/spdx-spec/v2.3, JSON form): a
/// package for the bundle, and one for each image, chart, artifact and file of an artifact, with
/// SHA-256 and a package URL; what refers to an image is linked to it. It is derived from the
/// signed header and the artifacts' manifests alone, so the same bundle gives the same document,
/// and nothing else is read. ErrorKind::corrupt when a manifest is not what was signed.
Result<Json> spdx_document(const bundle::Reader& reader);

}  // namespace bedplate::supply

#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// An image that is in the bundle now.
struct Imported {
  Digest digest;  ///< of the manifest that the name stands for
  std::string media_type;
  std::uint64_t size = 0;                   ///< of the manifest
  std::optional<bundle::Descriptor> index;  ///< that it was chosen from; in the bundle too
};

/// Copies one image with everything it refers to from its source (a layout, an archive or a
/// registry) into the bundle, byte for byte, so that its digests stay what they are. Of an index
/// the manifest of `platform` is taken. ErrorKind::unsupported for schema 1 and foreign layers;
/// corrupt when the source does not hold what its digests say.
/// With a lock, the image must be the locked one; that is checked before any layer is read, and a
/// registry is asked by digest.
Result<Imported> import_image(bundle::Writer& writer, const ImageSpec& image,
                              const std::filesystem::path& root, const Lock* lock,
                              Progress* progress);

/// What the image's name stands for now, from manifests alone.
Result<LockedImage> resolve_image(const ImageSpec& image, const std::filesystem::path& root);

}  // namespace bedplate::collect

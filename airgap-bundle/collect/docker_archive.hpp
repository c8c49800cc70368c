#pragma once

#include <filesystem>

#include "airgap-bundle/collect/import.hpp"

namespace bedplate::collect {

/// An image out of what `docker save` wrote (moby's image-spec v1.2: manifest.json). Its layers are
/// plain tars, so they are compressed here and the image gets a manifest of its own; configuration
/// and diff_ids stay, and are compared with the layers (ErrorKind::corrupt).
Result<Imported> import_docker_archive(bundle::Writer& writer, const ImageSpec& image,
                                       const std::filesystem::path& file);

}  // namespace bedplate::collect

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/oci/descriptor.hpp"
#include "core/result.hpp"

namespace bedplate::oci {

/// As many as overlayfs and Docker stack.
inline constexpr std::size_t most_layers = 127;

/// An image manifest, OCI or Docker schema 2: what it refers to.
struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;
};

bool is_index(std::string_view media_type);
bool is_manifest(std::string_view media_type);

/// The media type of a manifest: what it says itself, else what it was announced as.
/// ErrorKind::unsupported with a hint for Docker's schema 1, which has no digests of its own.
Result<std::string> manifest_media_type(std::string_view text, std::string_view announced);

/// ErrorKind::unsupported for layers that may not be copied; invalid when it is no manifest or has
/// more than most_layers.
Result<Manifest> parse_manifest(std::string_view text);

/// The one child of an index for that platform: the one of exactly that variant, else of the usual
/// one (v8 of arm64, v7 of arm) when either side does not say. What tells about other children is
/// none. ErrorKind::not_found lists the platforms there are.
Result<Descriptor> choose_child(std::string_view index, const Platform& platform);

/// The children of an index that are BuildKit's attestations about that manifest
/// (docs.docker.com, "Image attestation storage").
Result<std::vector<Descriptor>> attestations_of(std::string_view index, const Digest& manifest);

/// What lists referrers names, the same ones in the same order: those with another digest than
/// SHA-256 or without a media type are left out, since nobody could check or carry them.
Result<std::vector<Descriptor>> listed_descriptors(std::string_view index);

/// ErrorKind::invalid when an image's configuration is for another platform.
Result<void> check_platform(std::string_view config, const Platform& platform);

}  // namespace bedplate::oci

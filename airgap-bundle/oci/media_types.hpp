#pragma once

#include <cstdint>
#include <string_view>

namespace bedplate::oci {

/// Bytes. Twice what the distribution specification asks registries to take.
inline constexpr std::uint64_t longest_manifest = 8ULL << 20;

/// Media types: OCI image-spec 1.1 (media-types.md), Docker's of distribution's schema 2, and ours.
namespace media {
inline constexpr std::string_view index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view empty = "application/vnd.oci.empty.v1+json";
inline constexpr std::string_view layer_tar = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd";

inline constexpr std::string_view docker_list =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_manifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_schema1 =
    "application/vnd.docker.distribution.manifest.v1+json";
inline constexpr std::string_view docker_schema1_signed =
    "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// Helm's OCI form of a chart (helm.sh/docs/topics/registries).
inline constexpr std::string_view helm_config = "application/vnd.cncf.helm.config.v1+json";
inline constexpr std::string_view helm_chart =
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// What is signed about images: cosign's first form (cosign's SIGNATURE_SPEC.md), DSSE envelopes,
/// and sigstore's bundles, whose version follows the prefix.
inline constexpr std::string_view simple_signing =
    "application/vnd.dev.cosign.simplesigning.v1+json";
inline constexpr std::string_view dsse = "application/vnd.dsse.envelope.v1+json";
inline constexpr std::string_view sigstore_bundle = "application/vnd.dev.sigstore.bundle";
inline constexpr std::string_view notary_signature = "application/vnd.cncf.notary.signature";

inline constexpr std::string_view files = "application/vnd.bedplate.files.v1";
inline constexpr std::string_view file = "application/vnd.bedplate.file.v1";
inline constexpr std::string_view file_zstd = "application/vnd.bedplate.file.v1+zstd";
inline constexpr std::string_view kept_index = "application/vnd.bedplate.index.v1+json";
inline constexpr std::string_view values = "application/vnd.bedplate.values.v1+yaml";
inline constexpr std::string_view contents = "application/vnd.bedplate.contents.v1";
}  // namespace media

/// Keys of annotations: OCI image-spec 1.1 (annotations.md), containerd's, and ours.
namespace annotation {
inline constexpr std::string_view title = "org.opencontainers.image.title";
inline constexpr std::string_view ref_name = "org.opencontainers.image.ref.name";
inline constexpr std::string_view containerd_name = "io.containerd.image.name";
inline constexpr std::string_view provenance = "dev.bedplate.provenance";
/// On an image of a bundle: the index that its manifest was chosen from.
inline constexpr std::string_view upstream_index = "dev.bedplate.upstream-index";
/// base64, on a layer of media::simple_signing.
inline constexpr std::string_view cosign_signature = "dev.cosignproject.cosign/signature";
/// BuildKit's, on a child of an index that tells about another child.
inline constexpr std::string_view docker_reference_type = "vnd.docker.reference.type";
inline constexpr std::string_view docker_reference_digest = "vnd.docker.reference.digest";
}  // namespace annotation

}  // namespace bedplate::oci

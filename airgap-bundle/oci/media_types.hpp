#pragma once

#include <string_view>

namespace bedplate::oci {

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
}  // namespace annotation

}  // namespace bedplate::oci

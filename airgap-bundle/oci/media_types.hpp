#pragma once

#include <string_view>

// OCI image-spec 1.1 media types, Docker's older names for the same, and ours.
namespace bedplate::oci {

inline constexpr std::string_view index_type = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view manifest_type = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view config_type = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view layer_zstd_type = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view layer_tar_type = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view empty_type = "application/vnd.oci.empty.v1+json";

inline constexpr std::string_view docker_list_type =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_manifest_type =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_config_type =
    "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view docker_schema1_prefix =
    "application/vnd.docker.distribution.manifest.v1";

inline constexpr std::string_view files_artifact_type = "application/vnd.bedplate.files.v1";
inline constexpr std::string_view file_type = "application/vnd.bedplate.file.v1";
inline constexpr std::string_view file_zstd_type = "application/vnd.bedplate.file.v1+zstd";
inline constexpr std::string_view contents_artifact_type = "application/vnd.bedplate.contents.v1";

inline constexpr std::string_view title_annotation = "org.opencontainers.image.title";
inline constexpr std::string_view ref_name_annotation = "org.opencontainers.image.ref.name";
inline constexpr std::string_view containerd_name_annotation = "io.containerd.image.name";
inline constexpr std::string_view provenance_annotation = "dev.bedplate.provenance";

}  // namespace bedplate::oci

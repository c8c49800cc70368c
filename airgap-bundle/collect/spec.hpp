#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/oci/reference.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

enum class SourceKind { rootfs, oci_layout, oci_archive, docker_archive, registry };

/// Where an image comes from.
struct ImageSource {
  SourceKind kind = SourceKind::registry;
  std::string location;     ///< path, or a registry reference
  std::string selector;     ///< tag or reference inside a layout or archive; may be empty
  bool plain_http = false;  ///< registry only, and only when the specification says so
};

/// What the image configuration of an assembled image says (OCI image-spec, config.md).
struct ImageConfig {
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::string> env;
  std::string user;
  std::string working_dir;
};

struct ImageSpec {
  oci::Reference name;
  ImageSource source;
  ImageConfig config;
  std::map<std::string, std::string> annotations;
  std::string platform = "linux/amd64";
  int line = 0;
};

struct FileSpec {
  std::string path;  ///< file or folder below the root
  std::string to;    ///< path in the artifact
};

struct FilesSpec {
  std::string name;
  std::string version;
  std::map<std::string, std::string> annotations;
  std::vector<FileSpec> files;
};

enum class ChartSourceKind { file, repository, oci };

/// A Helm chart and how it is to be installed; what it then asks for must be in the bundle.
struct ChartSpec {
  std::string name;  ///< of the release; of the chart too, unless its source says otherwise
  std::string version;
  ChartSourceKind kind = ChartSourceKind::file;
  std::string location;  ///< path below the root, https://… of a repository, or oci://…
  std::string name_space;
  std::vector<std::string> values;        ///< paths below the root, later ones win
  std::vector<std::string> api_versions;  ///< which the cluster has by then
  int line = 0;
};

/// An image that something names and that is left out on purpose.
struct AllowMissingSpec {
  oci::Reference image;
  std::string reason;
};

/// `kind: Bundle`: what a bundle is made of.
struct BundleSpec {
  std::string file;
  std::string name;
  std::string version;
  std::vector<ImageSpec> images;
  std::vector<FilesSpec> files;
  std::vector<ChartSpec> charts;
  std::vector<AllowMissingSpec> allow_missing;
};

/// ErrorKind::invalid lists every finding with file, line and field.
Result<BundleSpec> parse_spec(std::string_view text, std::string_view file_name);

}  // namespace bedplate::collect

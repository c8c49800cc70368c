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

/// `kind: Bundle`: what a bundle is made of.
struct BundleSpec {
  std::string file;
  std::string name;
  std::string version;
  std::vector<ImageSpec> images;
  std::vector<FilesSpec> files;
};

/// ErrorKind::invalid lists every finding with file, line and field.
Result<BundleSpec> parse_spec(std::string_view text, std::string_view file_name);

}  // namespace bedplate::collect

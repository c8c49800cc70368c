#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/oci/reference.hpp"
#include "core/digest.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

enum class SourceKind { rootfs, oci_layout, oci_archive, docker_archive, registry };

/// Where an image comes from.
struct ImageSource {
  SourceKind kind = SourceKind::registry;
  std::string location;     ///< path, or a registry reference
  std::string selector;     ///< tag or reference inside a layout or archive; may be empty
  bool plain_http = false;  ///< registry only, and only when the specification says so
  bool operator==(const ImageSource&) const = default;
};

/// What the image configuration of an assembled image says (OCI image-spec, config.md).
struct ImageConfig {
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::string> env;
  std::string user;
  std::string working_dir;
  bool operator==(const ImageConfig&) const = default;
};

/// What is carried along of what refers to an image.
enum class ReferrerMode { all, signatures, none };

struct ImageSpec {
  oci::Reference name;
  ImageSource source;
  ImageConfig config;
  std::map<std::string, std::string> annotations;
  std::string platform = "linux/amd64";
  std::vector<std::string> platforms;  ///< several: the name stands for the index over them
  ReferrerMode referrers = ReferrerMode::all;
  int line = 0;
};

struct FileSpec {
  std::string path;              ///< file or folder below the root; empty: fetched from `url`
  std::string to;                ///< path in the artifact
  std::string url;               ///< http(s)://…
  std::optional<Digest> digest;  ///< of the file; with `url` only
  std::optional<unsigned> mode;  ///< permission bits; else the file's own, or 0644
  bool plain_http = false;       ///< the specification allows this URL without TLS
  int line = 0;
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

/// How a registry is reached, where the usual way does not do.
struct RegistrySpec {
  std::string host;                  ///< "registry.example:5000"
  bool plain_http = false;           ///< without TLS
  std::string ca;                    ///< PEM file below the root; empty: the system's authorities
  std::string certificate;           ///< client certificate, PEM file below the root
  std::string key;                   ///< its private key
  std::vector<std::string> mirrors;  ///< "host[:port][/prefix]", asked first, in this order
};

enum class PackageBase { none, minbase, list, installed };

/// Debian packages with what they depend on: carried as an apt repository.
struct PackagesSpec {
  std::string name;
  std::string version;  ///< empty: the bundle's
  std::string suite;
  std::vector<std::string> components;
  std::string mirror;
  std::string security_mirror;        ///< empty: none
  bool updates = true;                ///< also <suite>-updates
  std::string keyring;                ///< path below the root, or absolute
  std::vector<std::string> packages;  ///< "name" or "name=version"
  PackageBase base = PackageBase::minbase;
  std::vector<std::string> base_packages;  ///< of PackageBase::list
  std::string installed;                   ///< dpkg status file below the root
  std::vector<std::string> architectures;
  bool recommends = false;
  int line = 0;
};

/// Components of a catalog, for one profile.
struct CatalogSpec {
  std::string path;  ///< folder below the root
  std::string profile;
  std::vector<std::string> components;
  int line = 0;
};

/// An image that something names and that is left out on purpose.
struct AllowMissingSpec {
  oci::Reference image;
  std::string reason;
};

/// Whose signature images must have, or they are not taken.
struct PolicySpec {
  std::string images;             ///< pattern, see supply::means()
  std::vector<std::string> keys;  ///< public keys in PEM, files below the root
  std::string attestation;        ///< its in-toto predicate type; empty: a signature is asked for
  int line = 0;
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
  std::vector<RegistrySpec> registries;
  std::vector<PolicySpec> policy;
  std::vector<PackagesSpec> packages;
  std::vector<CatalogSpec> catalogs;  ///< load_spec() puts what they stand for into the others
};

/// ErrorKind::invalid lists every finding with file, line and field.
Result<BundleSpec> parse_spec(std::string_view text, std::string_view file_name);

}  // namespace bedplate::collect

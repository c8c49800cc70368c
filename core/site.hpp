#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/net.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"
#include "core/yaml.hpp"

namespace bedplate {

enum class Role { control_plane, worker };
enum class NetworkPlugin { basic, cilium };
std::string_view to_string(Role role);
std::string_view to_string(NetworkPlugin plugin);

/// How a machine recognises itself. All fields that are set must match; at least one is.
struct NodeMatch {
  std::optional<std::string> mac;     ///< normalised, any of the machine's interfaces
  std::optional<std::string> serial;  ///< DMI product serial
  std::optional<std::string> uuid;    ///< DMI product UUID, lower case
};

/// Which disk a node may use. All fields that are set must match; exactly one disk must match.
struct DiskSelector {
  std::optional<std::string> serial;
  std::optional<std::string> model;
  std::optional<std::string> wwn;
  std::optional<std::string> path;        ///< "/dev/…": kernel name, by-id or by-path
  std::optional<std::uint64_t> min_size;  ///< bytes
  std::optional<std::uint64_t> max_size;  ///< bytes
  bool wipe = false;                      ///< the owner approves that what is on it is destroyed
};

struct SiteNode {
  std::string name;
  Role role = Role::worker;
  NodeMatch match;
  DiskSelector disk;
  Ipv4Prefix address;
  std::optional<Ipv4> gateway;
  std::vector<Ipv4> dns;
  std::vector<std::string> ntp;
};

struct Trust {
  std::vector<PublicKey> bundle_keys;
  std::vector<PublicKey> operator_keys;
  std::vector<std::string> site_roots;  ///< PEM certificates
};

/// What a site is: the whole input besides the bundle. Valid by construction (parse_site).
struct Site {
  std::string name;
  std::string domain;
  std::string kubernetes_version;  ///< "v1.36.3"
  Ipv4Prefix pod_network;
  Ipv4Prefix service_network;
  NetworkPlugin plugin = NetworkPlugin::cilium;
  std::string bootstrap;  ///< name of the one node that may create the cluster
  std::vector<SiteNode> nodes;
  Trust trust;

  const SiteNode* find(std::string_view node_name) const;
  const SiteNode& bootstrap_node() const;
  std::vector<const SiteNode*> control_planes() const;
  /// First 16 hex digits of SHA-256 over name, domain and the first bundle key: marks a disk as
  /// installed for this site. Needs trust to be filled in.
  std::string id() const;
  /// "api.<domain>": resolved to loopback on each node.
  std::string api_name() const;
};

/// Reads a site. ErrorKind::invalid lists every finding with file, line, field and what is allowed.
Result<Site> parse_site(std::string_view text, std::string_view file_name);
Result<Site> read_site(const std::filesystem::path& path);

/// What a site file may say and this version cannot install: another network plug-in than basic, a
/// second control plane. ErrorKind::unsupported lists all of it.
Result<void> check_installable(const Site& site);

/// The site as YAML that parse_site reads back to the same value.
std::string site_to_yaml(const Site& site);

/// The private half of a site; lives in one file (0600) that never leaves the connected side,
/// except for the enrolment secrets, which a medium carries.
struct SiteSecrets {
  std::string site_root_key;                     ///< PEM
  std::string site_root_cert;                    ///< PEM
  std::string bundle_key;                        ///< PEM, Ed25519
  std::string operator_key;                      ///< PEM, Ed25519
  std::map<std::string, std::string> enrolment;  ///< node name → 32 raw bytes
};

/// ErrorKind::untrusted when the group or others may read it: it holds private keys.
Result<void> refuse_readable_by_others(const std::filesystem::path& path);

/// ErrorKind::untrusted when others may read the file.
Result<SiteSecrets> read_secrets(const std::filesystem::path& path);

/// Makes whatever is missing (keys, the site root, a secret for each node) and keeps what is there.
/// Repeated with the same site it changes nothing. Secrets of nodes that are no longer named stay.
Result<SiteSecrets> ensure_secrets(const std::filesystem::path& path, const Site& site);

/// Beside the site file: site.yaml → site.secrets.
std::filesystem::path default_secrets_path(const std::filesystem::path& site_path);

/// The site with its trust filled in from the secrets. A key that the file names already must be
/// one that the secrets hold (ErrorKind::untrusted).
Result<Site> seal_site(Site site, const SiteSecrets& secrets);

/// {"node": "<base64>"} for the medium; read back on the node.
std::string enrolment_to_json(const std::map<std::string, std::string>& enrolment);
Result<std::map<std::string, std::string>> read_enrolment(const std::filesystem::path& path);

}  // namespace bedplate

// Reads a site file: every field with its own check, then what must hold between fields.

#include <algorithm>
#include <cctype>
#include <map>
#include <regex>

#include <fmt/format.h>

#include "core/file.hpp"
#include "core/site.hpp"

namespace bedplate {
namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::optional<std::string> optional_string(const YamlNode& node) {
  if (!node.present()) return std::nullopt;
  auto text = node.string();
  if (text.empty()) {
    node.finding("must not be empty");
    return std::nullopt;
  }
  return text;
}

std::string dns_label(const YamlNode& node) {
  auto text = node.string();
  if (node.present() && !is_dns_label(text)) {
    node.finding(
        fmt::format("'{}' must be lower-case letters, digits and hyphens, at most 63", text));
  }
  return text;
}

Ipv4Prefix prefix(const YamlNode& node, std::string_view fallback = {}) {
  const auto text = node.string(fallback.empty(), fallback);
  if (text.empty() && !node.present()) return {};
  auto parsed = Ipv4Prefix::parse(text);
  if (!parsed) {
    const bool v6 = text.find("::") != std::string::npos || std::ranges::count(text, ':') > 2;
    node.finding(v6 ? fmt::format("'{}': IPv6 is not supported yet; give an IPv4 address", text)
                    : parsed.error().what);
    return {};
  }
  return *parsed;
}

NodeMatch parse_match(const YamlNode& node) {
  NodeMatch match;
  node.expect_map({"mac", "serial", "uuid"});
  if (const auto mac = optional_string(node["mac"])) {
    match.mac = normalize_mac(*mac);
    if (!match.mac) {
      node["mac"].finding(
          fmt::format("'{}' is not a MAC address (such as 52:54:00:12:34:56)", *mac));
    }
  }
  match.serial = optional_string(node["serial"]);
  if (auto uuid = optional_string(node["uuid"])) {
    static const std::regex form("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
    match.uuid = lower(*uuid);
    if (!std::regex_match(*match.uuid, form)) {
      node["uuid"].finding(fmt::format("'{}' is not a UUID", *uuid));
    }
  }
  if (node.is_map() && !node["mac"].present() && !node["serial"].present() &&
      !node["uuid"].present()) {
    node.finding("must have at least one of mac, serial, uuid");
  }
  return match;
}

DiskSelector parse_disk(const YamlNode& node) {
  DiskSelector disk;
  node.expect_map({"serial", "model", "wwn", "path", "minSize", "maxSize", "wipe"});
  disk.serial = optional_string(node["serial"]);
  disk.model = optional_string(node["model"]);
  disk.wwn = optional_string(node["wwn"]);
  disk.path = optional_string(node["path"]);
  if (disk.path && !disk.path->starts_with("/dev/")) {
    node["path"].finding(fmt::format("'{}' must begin with /dev/", *disk.path));
  }
  if (node["minSize"].present()) disk.min_size = node["minSize"].bytes(0);
  if (node["maxSize"].present()) disk.max_size = node["maxSize"].bytes(0);
  if (disk.min_size && disk.max_size && *disk.min_size > *disk.max_size) {
    node["maxSize"].finding("must not be smaller than minSize");
  }
  disk.wipe = node["wipe"].boolean(false);
  if (node.is_map() && !disk.serial && !disk.model && !disk.wwn && !disk.path && !disk.min_size &&
      !disk.max_size) {
    node.finding(
        "must name the disk by at least one of serial, model, wwn, path, minSize, maxSize");
  }
  return disk;
}

void parse_addresses(const YamlNode& node, SiteNode& out) {
  out.address = prefix(node["address"]);
  if (const auto gateway = node["gateway"].string(false, "none"); gateway != "none") {
    auto parsed = Ipv4::parse(gateway);
    if (!parsed) {
      node["gateway"].finding(fmt::format("'{}' must be an IPv4 address, or none", gateway));
    } else if (node["address"].present() && out.address.length > 0 &&
               !out.address.contains(*parsed)) {
      node["gateway"].finding(fmt::format("{} is not in the node's network {}/{}", gateway,
                                          out.address.network().str(), out.address.length));
    } else {
      out.gateway = *parsed;
    }
  }
  for (const auto& item : node["dns"].list()) {
    if (auto parsed = Ipv4::parse(item.string())) {
      out.dns.push_back(*parsed);
    } else {
      item.finding(parsed.error().what);
    }
  }
  for (const auto& item : node["ntp"].list()) {
    auto name = item.string();
    if (!Ipv4::parse(name) && !is_dns_name(name)) {
      item.finding(fmt::format("'{}' must be a host name or an IPv4 address", name));
    }
    out.ntp.push_back(std::move(name));
  }
}

SiteNode parse_node(const YamlNode& node) {
  SiteNode out;
  node.expect_map({"name", "role", "match", "disk", "address", "gateway", "dns", "ntp"});
  if (!node.is_map()) return out;
  out.name = dns_label(node["name"]);
  out.role = node["role"].choice({"control-plane", "worker"}, true, "worker") == "worker"
                 ? Role::worker
                 : Role::control_plane;
  for (const auto* field : {"match", "disk"}) {
    if (!node[field].present()) node[field].finding("is required");
  }
  if (node["match"].present()) out.match = parse_match(node["match"]);
  if (node["disk"].present()) out.disk = parse_disk(node["disk"]);
  parse_addresses(node, out);
  return out;
}

std::vector<PublicKey> parse_keys(const YamlNode& node) {
  std::vector<PublicKey> out;
  for (const auto& item : node.list()) {
    if (auto key = PublicKey::parse(item.string())) {
      out.push_back(*key);
    } else {
      item.finding(key.error().what);
    }
  }
  return out;
}

Trust parse_trust(const YamlNode& node) {
  Trust trust;
  if (!node.present()) return trust;
  node.expect_map({"bundleKeys", "operatorKeys", "siteRoots"});
  trust.bundle_keys = parse_keys(node["bundleKeys"]);
  trust.operator_keys = parse_keys(node["operatorKeys"]);
  for (const auto& item : node["siteRoots"].list()) {
    auto pem = item.string();
    if (pem.find("BEGIN CERTIFICATE") == std::string::npos) {
      item.finding("must be a certificate in PEM");
    }
    trust.site_roots.push_back(std::move(pem));
  }
  return trust;
}

/// A value that two nodes share is a finding at the second one.
class Unique {
 public:
  explicit Unique(std::string what) : what_(std::move(what)) {}
  void add(const YamlNode& place, const std::string& value, const std::string& owner) {
    if (value.empty() || !place.present()) return;
    const auto [found, added] = seen_.emplace(value, owner);
    if (!added) {
      place.finding(fmt::format("{} {} is already that of node '{}'", what_, value, found->second));
    }
  }

 private:
  std::string what_;
  std::map<std::string, std::string> seen_;
};

void check_between_nodes(const std::vector<YamlNode>& places, const Site& site) {
  Unique names("name");
  Unique addresses("address");
  Unique macs("MAC");
  Unique serials("serial");
  Unique uuids("UUID");
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto& node = site.nodes[i];
    const auto& place = places[i];
    names.add(place["name"], node.name, node.name);
    if (node.address.length > 0) {
      addresses.add(place["address"], node.address.address.str(), node.name);
    }
    if (node.match.mac) macs.add(place["match"]["mac"], *node.match.mac, node.name);
    if (node.match.serial && !node.match.mac && !node.match.uuid) {
      serials.add(place["match"]["serial"], *node.match.serial, node.name);
    }
    if (node.match.uuid) uuids.add(place["match"]["uuid"], *node.match.uuid, node.name);
  }
}

void check_address(const YamlNode& place, const SiteNode& node, const Site& site) {
  if (node.address.length == 0) return;
  const auto host = node.address.address;
  if (node.address.length < 31 &&
      (host == node.address.network() || host == node.address.broadcast())) {
    place.finding(
        fmt::format("{} is the network or broadcast address of its own network", host.str()));
  }
  for (const auto& [what, network] : {std::pair("podNetwork", site.pod_network),
                                      std::pair("serviceNetwork", site.service_network)}) {
    if (network.length > 0 && network.overlaps(node.address)) {
      place.finding(fmt::format("its network overlaps kubernetes.{} {}", what, network.str()));
    }
  }
}

void check_whole(const YamlNode& root, const std::vector<YamlNode>& places, Site& site) {
  check_between_nodes(places, site);
  for (std::size_t i = 0; i < places.size(); ++i) {
    check_address(places[i]["address"], site.nodes[i], site);
  }
  if (site.pod_network.length > 0 && site.service_network.length > 0 &&
      site.pod_network.overlaps(site.service_network)) {
    root["kubernetes"]["serviceNetwork"].finding(
        fmt::format("overlaps kubernetes.podNetwork {}", site.pod_network.str()));
  }
  const auto control_planes = site.control_planes();
  if (!places.empty() && control_planes.empty()) {
    root["nodes"].finding("must have at least one node with the role control-plane");
    return;
  }
  const auto bootstrap = root["bootstrap"];
  if (site.bootstrap.empty() && !control_planes.empty()) {
    site.bootstrap = control_planes.front()->name;
  }
  const auto* named = site.find(site.bootstrap);
  if (bootstrap.present() && (named == nullptr || named->role != Role::control_plane)) {
    std::vector<std::string> allowed;
    for (const auto* node : control_planes) allowed.push_back(node->name);
    (void)bootstrap.choice(allowed, true);
    if (named != nullptr) bootstrap.finding("must have the role control-plane");
  }
}

void parse_kubernetes(const YamlNode& node, Site& site) {
  if (!node.present()) {
    node.finding("is required");
    return;
  }
  node.expect_map({"version", "podNetwork", "serviceNetwork"});
  site.kubernetes_version = node["version"].string();
  static const std::regex form("v1\\.[0-9]{1,3}\\.[0-9]{1,3}");
  if (node["version"].present() && !std::regex_match(site.kubernetes_version, form)) {
    node["version"].finding(
        fmt::format("'{}' must have the form v1.36.3", site.kubernetes_version));
  }
  site.pod_network = prefix(node["podNetwork"], "10.244.0.0/16");
  site.service_network = prefix(node["serviceNetwork"], "10.96.0.0/12");
}

}  // namespace

Result<Site> parse_site(std::string_view text, std::string_view file_name) {
  BP_TRY(const auto root, YamlNode::parse(text, file_name));
  Site site;
  root.expect_map(
      {"kind", "name", "domain", "kubernetes", "network", "bootstrap", "nodes", "trust"});
  if (root.is_map()) {
    (void)root["kind"].choice({"Site"}, true);
    site.name = dns_label(root["name"]);
    site.domain = root["domain"].string();
    if (root["domain"].present() && !is_dns_name(site.domain)) {
      root["domain"].finding(fmt::format("'{}' is not a DNS name in lower case", site.domain));
    }
    parse_kubernetes(root["kubernetes"], site);
    if (root["network"].present()) root["network"].expect_map({"plugin"});
    site.plugin = root["network"]["plugin"].choice({"basic", "cilium"}, false, "cilium") == "basic"
                      ? NetworkPlugin::basic
                      : NetworkPlugin::cilium;
    site.bootstrap = root["bootstrap"].string(false);
    const auto places = root["nodes"].list();
    if (places.empty()) root["nodes"].finding("must list at least one node");
    for (const auto& place : places) site.nodes.push_back(parse_node(place));
    site.trust = parse_trust(root["trust"]);
    check_whole(root, places, site);
  }
  BP_CHECK(report_findings(root.findings()));
  return site;
}

Result<Site> read_site(const std::filesystem::path& path) {
  auto text = read_file(path, 4ULL << 20);
  if (!text) {
    return fail(std::move(text).error().with_hint(
        fmt::format("bedplate site init {} writes one to start from", path.string())));
  }
  return parse_site(*text, path.string());
}

}  // namespace bedplate

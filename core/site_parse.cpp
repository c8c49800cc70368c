// Reads a site file, every field with its own check. What must hold between them: site_check.cpp.

#include <algorithm>
#include <cctype>
#include <regex>

#include <fmt/format.h>

#include "core/file.hpp"
#include "core/site_document.hpp"

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
        fmt::format("'{}' must be lower-case letters, digits and hyphens, at most 63, with no "
                    "hyphen at the ends",
                    text));
  }
  return text;
}

bool is_ipv6(std::string_view text) {
  return std::ranges::count(text, ':') >= 2;
}

/// Length 0 stands for "none": a finding, or nothing given.
Ipv4Prefix prefix(const YamlNode& node, int shortest, int longest, std::string_view fallback = {}) {
  const auto text = node.string(fallback.empty(), fallback);
  if (text.empty() && !node.present()) return {};
  auto parsed = Ipv4Prefix::parse(text);
  if (!parsed) {
    node.finding(is_ipv6(text)
                     ? fmt::format("'{}': IPv6 is not supported yet; give an IPv4 address", text)
                     : parsed.error().what);
    return {};
  }
  if (parsed->length < shortest || parsed->length > longest) {
    node.finding(fmt::format("the prefix length /{} must be from /{} to /{}", parsed->length,
                             shortest, longest));
    return {};
  }
  return *parsed;
}

/// A network of the cluster: no host bits, and of a size that kubeadm's own validation accepts.
Ipv4Prefix cluster_network(const YamlNode& node, std::string_view fallback, int shortest,
                           int longest) {
  const auto network = prefix(node, shortest, longest, fallback);
  if (network.address != network.network()) {
    node.finding(fmt::format("{} has host bits set; the network is {}/{}", network.str(),
                             network.network().str(), network.length));
  }
  return network;
}

/// Whether a machine can have it: not of this host, of the link alone, or for groups (RFC 6890).
bool is_host_address(Ipv4 address) {
  const auto first = address.value >> 24U;
  return first != 0 && first != 127 && first < 224 && address.value >> 16U != (169U << 8U | 254U);
}

NodeMatch parse_match(const YamlNode& node) {
  NodeMatch match;
  node.expect_map({"mac", "serial", "uuid"});
  if (const auto mac = optional_string(node["mac"])) {
    match.mac = normalize_mac(*mac);
    // The lowest bit of the first octet marks a group; no network card has such an address.
    const bool group =
        match.mac && std::string_view("13579bdf").find((*match.mac)[1]) != std::string_view::npos;
    if (!match.mac || group || *match.mac == "00:00:00:00:00:00") {
      node["mac"].finding(fmt::format(
          "'{}' is not the MAC address of a network card (such as 52:54:00:12:34:56)", *mac));
    }
  }
  match.serial = optional_string(node["serial"]);
  if (auto uuid = optional_string(node["uuid"])) {
    static const std::regex form("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
    match.uuid = lower(*uuid);
    if (!std::regex_match(*match.uuid, form)) {
      node["uuid"].finding(
          fmt::format("'{}' is not a UUID (such as 4c4c4544-0031-3010-8050-b4c04f333132)", *uuid));
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

std::optional<Ipv4> parse_gateway(const YamlNode& node) {
  const auto text = node.string(false, "none");
  if (text == "none") return std::nullopt;
  auto parsed = Ipv4::parse(text);
  if (parsed) return *parsed;
  node.finding(fmt::format("'{}' must be an IPv4 address, or none", text));
  return std::nullopt;
}

void parse_addresses(const YamlNode& node, SiteNode& out) {
  out.address = prefix(node["address"], 8, 30);
  if (out.address.length != 0 && !is_host_address(out.address.address)) {
    node["address"].finding(
        fmt::format("{} is no address for a machine", out.address.address.str()));
  }
  out.gateway = parse_gateway(node["gateway"]);
  for (const auto& item : node["dns"].list()) {
    auto parsed = Ipv4::parse(item.string());
    if (parsed && is_host_address(*parsed)) {
      out.dns.push_back(*parsed);
    } else {
      item.finding(fmt::format("'{}' must be the IPv4 address of a DNS server", item.string()));
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
    if (!is_certificate(pem)) item.finding("must be one certificate in PEM, and nothing else");
    trust.site_roots.push_back(std::move(pem));
  }
  return trust;
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
  // Each node gets a /24 of the pod network, and a range of services has at most 20 host bits.
  site.pod_network = cluster_network(node["podNetwork"], "10.244.0.0/16", 8, 24);
  site.service_network = cluster_network(node["serviceNetwork"], "10.96.0.0/12", 12, 28);
}

}  // namespace

Site site_from(const YamlNode& root) {
  Site site;
  root.expect_map(
      {"kind", "name", "domain", "kubernetes", "network", "bootstrap", "nodes", "trust"});
  if (!root.is_map()) return site;
  (void)root["kind"].choice({"Site"}, true);
  site.name = dns_label(root["name"]);
  site.domain = root["domain"].string();
  if (root["domain"].present() && (!is_dns_name(site.domain) || Ipv4::parse(site.domain))) {
    root["domain"].finding(fmt::format("'{}' is not a DNS name in lower case", site.domain));
  }
  parse_kubernetes(root["kubernetes"], site);
  if (root["network"].present()) root["network"].expect_map({"plugin"});
  site.plugin = root["network"]["plugin"].choice({"basic", "cilium"}, false, "cilium") == "basic"
                    ? NetworkPlugin::basic
                    : NetworkPlugin::cilium;
  site.bootstrap = root["bootstrap"].string(false);
  const auto places = root["nodes"].list();
  if (places.empty() && (!root["nodes"].present() || root["nodes"].is_list())) {
    root["nodes"].finding("must list at least one node");
  }
  for (const auto& place : places) site.nodes.push_back(parse_node(place));
  site.trust = parse_trust(root["trust"]);
  check_site(root, places, site);
  return site;
}

Result<Site> parse_site(std::string_view text, std::string_view file_name) {
  BP_TRY(const auto root, YamlNode::parse(text, file_name));
  auto site = site_from(root);
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

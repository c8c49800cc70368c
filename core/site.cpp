#include "core/site.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include "core/digest.hpp"

namespace bedplate {
namespace {

/// Always quoted: no value can then be read back as a number, a boolean or null.
std::string double_quoted(std::string_view text) {
  YAML::Emitter out;
  out << YAML::DoubleQuoted << std::string(text);
  return out.c_str();
}

void add_optional(std::string& out, std::string_view key, const std::optional<std::string>& value) {
  if (value) out += fmt::format("      {}: {}\n", key, double_quoted(*value));
}

template <class List, class Show>
std::string flow_list(const List& list, Show show) {
  std::string out;
  for (const auto& item : list) {
    if (!out.empty()) out += ", ";
    out += double_quoted(show(item));
  }
  return "[" + out + "]";
}

std::string node_to_yaml(const SiteNode& node) {
  std::string out = fmt::format("  - name: {}\n    role: {}\n    match:\n",
                                double_quoted(node.name), to_string(node.role));
  add_optional(out, "mac", node.match.mac);
  add_optional(out, "serial", node.match.serial);
  add_optional(out, "uuid", node.match.uuid);
  out += "    disk:\n";
  add_optional(out, "serial", node.disk.serial);
  add_optional(out, "model", node.disk.model);
  add_optional(out, "wwn", node.disk.wwn);
  add_optional(out, "path", node.disk.path);
  if (node.disk.min_size) out += fmt::format("      minSize: {}\n", *node.disk.min_size);
  if (node.disk.max_size) out += fmt::format("      maxSize: {}\n", *node.disk.max_size);
  out += fmt::format("      wipe: {}\n", node.disk.wipe);
  out += fmt::format("    address: {}\n    gateway: {}\n", double_quoted(node.address.str()),
                     double_quoted(node.gateway ? node.gateway->str() : "none"));
  out += fmt::format("    dns: {}\n", flow_list(node.dns, [](Ipv4 a) { return a.str(); }));
  out += fmt::format("    ntp: {}\n",
                     flow_list(node.ntp, [](const std::string& name) { return name; }));
  return out;
}

}  // namespace

Result<void> check_installable(const Site& site) {
  std::vector<std::string> what;
  if (site.plugin != NetworkPlugin::basic) {
    what.push_back(
        fmt::format("network.plugin {}: only basic is installed", to_string(site.plugin)));
  }
  if (site.control_planes().size() > 1) {
    what.push_back(
        fmt::format("{} control-plane nodes: only one is installed, the others can be workers",
                    site.control_planes().size()));
  }
  if (what.empty()) return {};
  return fail(ErrorKind::unsupported,
              fmt::format("this version cannot install the site {} yet:\n  {}", site.name,
                          fmt::join(what, "\n  ")),
              "change these fields of the site file");
}

std::string_view to_string(Role role) {
  return role == Role::control_plane ? "control-plane" : "worker";
}

std::string_view to_string(NetworkPlugin plugin) {
  return plugin == NetworkPlugin::basic ? "basic" : "cilium";
}

const SiteNode* Site::find(std::string_view node_name) const {
  const auto found = std::ranges::find(nodes, node_name, &SiteNode::name);
  return found == nodes.end() ? nullptr : &*found;
}

const SiteNode& Site::bootstrap_node() const {
  return *find(bootstrap);
}

std::vector<const SiteNode*> Site::control_planes() const {
  std::vector<const SiteNode*> out;
  for (const auto& node : nodes) {
    if (node.role == Role::control_plane) out.push_back(&node);
  }
  return out;
}

std::string Site::id() const {
  const auto key = trust.bundle_keys.empty() ? "" : trust.bundle_keys.front().fingerprint();
  return Digest::of(fmt::format("{}\n{}\n{}", name, domain, key)).hex().substr(0, 16);
}

std::string Site::api_name() const {
  return "api." + domain;
}

std::string site_to_yaml(const Site& site) {
  std::string out = fmt::format(
      "kind: Site\nname: {}\ndomain: {}\nkubernetes:\n  version: {}\n  podNetwork: {}\n"
      "  serviceNetwork: {}\nnetwork:\n  plugin: {}\nbootstrap: {}\nnodes:\n",
      double_quoted(site.name), double_quoted(site.domain), double_quoted(site.kubernetes_version),
      double_quoted(site.pod_network.str()), double_quoted(site.service_network.str()),
      to_string(site.plugin), double_quoted(site.bootstrap));
  for (const auto& node : site.nodes) out += node_to_yaml(node);
  const auto key_text = [](const PublicKey& key) { return key.str(); };
  out += fmt::format("trust:\n  bundleKeys: {}\n  operatorKeys: {}\n  siteRoots: {}\n",
                     flow_list(site.trust.bundle_keys, key_text),
                     flow_list(site.trust.operator_keys, key_text),
                     flow_list(site.trust.site_roots, [](const std::string& pem) { return pem; }));
  return out;
}

}  // namespace bedplate

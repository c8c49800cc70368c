// What must hold between the fields and between the nodes of a site file.

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/site_document.hpp"

namespace bedplate {
namespace {

/// A value that two nodes share is a finding at the second one.
class Unique {
 public:
  explicit Unique(std::string what) : what_(std::move(what)) {}
  void add(const YamlNode& place, const std::optional<std::string>& value,
           const std::string& owner) {
    if (!value || value->empty() || !place.present()) return;
    const auto [found, added] = seen_.emplace(*value, owner);
    if (!added) {
      place.finding(
          fmt::format("{} '{}' is already that of node '{}'", what_, *value, found->second));
    }
  }

 private:
  std::string what_;
  std::map<std::string, std::string> seen_;
};

/// Both match the same machine as far as serials tell: nothing else that both give differs.
bool same_machine(const NodeMatch& a, const NodeMatch& b) {
  const auto differ = [](const auto& x, const auto& y) { return x && y && *x != *y; };
  return a.serial && b.serial && *a.serial == *b.serial && !differ(a.mac, b.mac) &&
         !differ(a.uuid, b.uuid);
}

void check_identities(const std::vector<YamlNode>& places, const Site& site) {
  Unique names("the name");
  Unique addresses("the address");
  Unique macs("the MAC address");
  Unique uuids("the UUID");
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto& node = site.nodes[i];
    const auto match = places[i]["match"];
    names.add(places[i]["name"], node.name, node.name);
    if (node.address.length > 0) {
      addresses.add(places[i]["address"], node.address.address.str(), node.name);
    }
    macs.add(match["mac"], node.match.mac, node.name);
    uuids.add(match["uuid"], node.match.uuid, node.name);
    for (std::size_t j = 0; j < i; ++j) {
      if (!same_machine(node.match, site.nodes[j].match)) continue;
      match["serial"].finding(fmt::format(
          "the serial '{}' is already that of node '{}', and nothing else tells them apart",
          *node.match.serial, site.nodes[j].name));
      break;
    }
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (site.nodes[i].name == "api") {
      places[i]["name"].finding("'api' is the name of the cluster's own API under the domain");
    }
  }
}

void check_gateway(const YamlNode& place, const SiteNode& node) {
  if (!node.gateway) return;
  const auto gateway = *node.gateway;
  if (!node.address.contains(gateway)) {
    place.finding(fmt::format("{} is not in the node's network {}/{}", gateway.str(),
                              node.address.network().str(), node.address.length));
  } else if (gateway == node.address.address) {
    place.finding("is the node's own address; give the router's, or none");
  } else if (gateway == node.address.network() || gateway == node.address.broadcast()) {
    place.finding(fmt::format("{} is the network or broadcast address", gateway.str()));
  }
}

void check_address(const YamlNode& place, const SiteNode& node, const Site& site) {
  if (node.address.length == 0) return;
  const auto host = node.address.address;
  if (host == node.address.network() || host == node.address.broadcast()) {
    place["address"].finding(
        fmt::format("{} is the network or broadcast address of its own network", host.str()));
  }
  check_gateway(place["gateway"], node);
  for (const auto& [what, network] : {std::pair("podNetwork", site.pod_network),
                                      std::pair("serviceNetwork", site.service_network)}) {
    if (network.length > 0 && network.overlaps(node.address)) {
      place["address"].finding(
          fmt::format("its network overlaps kubernetes.{} {}", what, network.str()));
    }
  }
}

/// Each node must reach the first one: on the same network, or both through their gateways.
void check_reach(const std::vector<YamlNode>& places, const Site& site) {
  const auto first = std::ranges::find_if(
      site.nodes, [](const SiteNode& node) { return node.address.length > 0; });
  if (first == site.nodes.end()) return;
  const auto text = [](const Ipv4Prefix& address) {
    return fmt::format("{}/{}", address.network().str(), address.length);
  };
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto& node = site.nodes[i];
    if (node.address.length == 0 || text(node.address) == text(first->address)) continue;
    const auto address = places[i]["address"];
    if (node.address.overlaps(first->address)) {
      address.finding(fmt::format("its network {} overlaps but is not {} of node '{}'",
                                  text(node.address), text(first->address), first->name));
    } else if (site.plugin == NetworkPlugin::basic) {
      address.finding(
          fmt::format("its network {} must be {}, that of node '{}': the plugin basic needs all "
                      "nodes on one network",
                      text(node.address), text(first->address), first->name));
    } else if (!node.gateway || !first->gateway) {
      address.finding(
          fmt::format("its network {} is not {}, that of node '{}': both nodes then need a gateway",
                      text(node.address), text(first->address), first->name));
    }
  }
}

void check_networks(const YamlNode& kubernetes, const Site& site) {
  const auto& pods = site.pod_network;
  const auto& services = site.service_network;
  if (pods.length > 0 && services.length > 0 && pods.overlaps(services)) {
    kubernetes["serviceNetwork"].finding(
        fmt::format("overlaps kubernetes.podNetwork {}", pods.str()));
  }
  if (pods.length >= 8 && pods.length <= 24 && site.nodes.size() > 1ULL << (24 - pods.length)) {
    kubernetes["podNetwork"].finding(
        fmt::format("{} has room for {} node{}, a /24 for each, and {} are named", pods.str(),
                    1U << (24 - pods.length), pods.length == 24 ? "" : "s", site.nodes.size()));
  }
}

void check_bootstrap(const YamlNode& root, const std::vector<YamlNode>& places, Site& site) {
  std::vector<std::string> allowed;
  for (const auto* node : site.control_planes()) {
    if (!node->name.empty()) allowed.push_back(node->name);
  }
  if (site.control_planes().empty()) {
    // A role that is missing or misspelt has its own finding; which one was meant is not known.
    const bool all_workers = std::ranges::all_of(places, [](const YamlNode& place) {
      return place["role"].is_scalar() && place["role"].string() == "worker";
    });
    if (!places.empty() && all_workers) {
      root["nodes"].finding("must have at least one node with the role control-plane");
    }
    return;
  }
  const auto bootstrap = root["bootstrap"];
  if (!bootstrap.present()) {
    site.bootstrap = site.control_planes().front()->name;
    return;
  }
  const auto* named = site.find(site.bootstrap);
  if (named != nullptr && named->role != Role::control_plane) {
    bootstrap.finding(fmt::format("node '{}' is a worker; must be a control-plane node ({})",
                                  site.bootstrap, fmt::join(allowed, ", ")));
  } else if (named == nullptr && bootstrap.is_scalar()) {
    (void)bootstrap.choice(allowed, true);
  }
}

}  // namespace

void check_site(const YamlNode& root, const std::vector<YamlNode>& places, Site& site) {
  check_identities(places, site);
  for (std::size_t i = 0; i < places.size(); ++i) check_address(places[i], site.nodes[i], site);
  check_reach(places, site);
  check_networks(root["kubernetes"], site);
  check_bootstrap(root, places, site);
}

}  // namespace bedplate

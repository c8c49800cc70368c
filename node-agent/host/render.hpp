#pragma once

#include <string>
#include <string_view>

#include "core/site.hpp"

namespace bedplate::agent {

/// /etc/hosts: loopback, the API's name (which is loopback on every node), and all nodes.
std::string render_hosts(const Site& site);
/// /etc/resolv.conf; without DNS servers a comment that says so.
std::string render_resolv_conf(const SiteNode& self);
/// systemd.network(5): the static address on the interface that the node is matched by, or on any
/// Ethernet interface when it is matched otherwise. No DHCP, no automatic addresses.
std::string render_network(const SiteNode& self);
/// chrony.conf(5): the node's time servers; without any, the bootstrap node. The bootstrap node
/// serves the site, from its own clock when it can reach nobody (orphan mode).
std::string render_chrony(const Site& site, const SiteNode& self);
/// The unit that runs chronyd with it.
std::string render_chrony_unit();
inline constexpr std::string_view chrony_path = "/run/bedplate/chrony.conf";

}  // namespace bedplate::agent

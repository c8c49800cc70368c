#pragma once

#include <string>

#include "core/site.hpp"

namespace bedplate::agent {

/// /etc/hosts: loopback, the API's name (which is loopback on every node), and all nodes.
std::string render_hosts(const Site& site);
/// /etc/resolv.conf; without DNS servers a comment that says so.
std::string render_resolv_conf(const SiteNode& self);
/// systemd.network(5): the static address on the interface that the node is matched by, or on any
/// Ethernet interface when it is matched otherwise. No DHCP, no automatic addresses.
std::string render_network(const SiteNode& self);

}  // namespace bedplate::agent

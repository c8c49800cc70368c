#include "node-agent/host/render.hpp"

#include <fmt/format.h>

namespace bedplate::agent {

std::string render_hosts(const Site& site) {
  std::string out = fmt::format(
      "# Written by the Bedplate agent.\n127.0.0.1 localhost\n::1 localhost\n127.0.0.1 {}\n",
      site.api_name());
  for (const auto& node : site.nodes) {
    out +=
        fmt::format("{} {}.{} {}\n", node.address.address.str(), node.name, site.domain, node.name);
  }
  return out;
}

std::string render_resolv_conf(const SiteNode& self) {
  if (self.dns.empty()) return "# The site has no DNS server.\n";
  std::string out;
  for (const auto server : self.dns) out += fmt::format("nameserver {}\n", server.str());
  return out;
}

std::string render_network(const SiteNode& self) {
  std::string out = "# Written by the Bedplate agent.\n[Match]\n";
  out += self.match.mac ? fmt::format("MACAddress={}\n", *self.match.mac) : "Type=ether\n";
  out += "Kind=!*\n\n[Network]\n";
  out += fmt::format("Address={}\n", self.address.str());
  if (self.gateway) out += fmt::format("Gateway={}\n", self.gateway->str());
  for (const auto server : self.dns) out += fmt::format("DNS={}\n", server.str());
  out += "DHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n";
  return out;
}

std::string render_chrony(const Site& site, const SiteNode& self) {
  std::string out = "# Written by the Bedplate agent.\n";
  for (const auto& server : self.ntp) out += fmt::format("server {} iburst\n", server);
  const bool bootstrap = self.name == site.bootstrap;
  if (self.ntp.empty() && !bootstrap) {
    out += fmt::format("server {} iburst\n", site.bootstrap_node().address.address.str());
  }
  if (bootstrap) {
    out += "local stratum 10 orphan\n";
    for (const auto& node : site.nodes) {
      if (node.name != self.name) out += fmt::format("allow {}\n", node.address.address.str());
    }
  }
  // Stepped only while the clock is first set; later it is slewed, so that time never jumps under a
  // running cluster.
  return out +
         "makestep 1 3\n"
         "driftfile /var/lib/chrony/drift\n"
         "rtcsync\n"
         "cmdport 0\n";
}

std::string render_chrony_unit() {
  return fmt::format(R"([Unit]
Description=Time of the site
Conflicts=chrony.service systemd-timesyncd.service
ConditionCapability=CAP_SYS_TIME
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/sbin/chronyd -n -F 1 -f {}
Restart=always
RestartSec=10
ProtectHome=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
)",
                     chrony_path);
}

}  // namespace bedplate::agent

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
  for (const auto& server : self.ntp) out += fmt::format("NTP={}\n", server);
  out += "DHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n";
  return out;
}

}  // namespace bedplate::agent

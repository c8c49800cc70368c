#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/net.hpp"

namespace bedplate::lab {

using Mac = std::array<std::uint8_t, 6>;
using Ipv6 = std::array<std::uint8_t, 16>;

/// From "52:54:00:00:00:01" as normalize_mac() gives it; nothing for other text.
std::optional<Mac> parse_mac(std::string_view text);
std::string to_string(const Mac& mac);

/// The parts of an Ethernet frame that say where it wants to go (IEEE 802.3, RFC 791, 826, 8200).
/// 802.1Q tags are looked through. A truncated inner packet leaves its fields empty.
struct Frame {
  Mac destination{};
  Mac source{};
  std::uint16_t ethertype = 0;
  std::optional<Ipv4> ipv4_source;
  std::optional<Ipv4> ipv4_destination;
  std::optional<Ipv6> ipv6_destination;
  std::optional<Ipv4> arp_target;
  bool arp_request = false;
  std::optional<std::uint8_t> protocol;  ///< IP protocol number
  std::optional<std::uint16_t> destination_port;

  bool multicast() const { return (destination[0] & 1U) != 0; }
};

/// Nothing for fewer than 14 bytes.
std::optional<Frame> decode_frame(std::span<const std::byte> bytes);

/// One line for people: "arp who-has 192.0.2.1", "udp 192.0.2.11 -> 198.51.100.7:123 (52:54:…)".
std::string describe(const Frame& frame);

/// Who is in the lab, and so may be spoken to.
struct Members {
  std::set<Mac> macs;
  std::set<Ipv4> addresses;
  std::vector<Ipv4Prefix> cluster_networks;  ///< pods and services
  std::vector<Ipv4Prefix> subnets;           ///< for their broadcast addresses
};

/// True when the frame wants something outside the lab: a station, an IPv4 or IPv6 address or a
/// multicast group that is no member's. Housekeeping of a link counts as inside: ARP about members,
/// IPv6 link-local traffic, DHCP's discover, IGMP, LLDP.
bool for_elsewhere(const Frame& frame, const Members& members);

}  // namespace bedplate::lab

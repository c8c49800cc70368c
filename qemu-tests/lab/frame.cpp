#include "qemu-tests/lab/frame.hpp"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace bedplate::lab {
namespace {

constexpr std::uint16_t kIpv4 = 0x0800;
constexpr std::uint16_t kArp = 0x0806;
constexpr std::uint16_t kVlan = 0x8100;
constexpr std::uint16_t kIpv6 = 0x86DD;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;

using Bytes = std::span<const std::byte>;

std::uint8_t u8(Bytes bytes, std::size_t at) {
  return std::to_integer<std::uint8_t>(bytes[at]);
}

std::uint16_t u16(Bytes bytes, std::size_t at) {
  return static_cast<std::uint16_t>(u8(bytes, at) << 8U | u8(bytes, at + 1));
}

Ipv4 address_at(Bytes bytes, std::size_t at) {
  return Ipv4{static_cast<std::uint32_t>(u16(bytes, at)) << 16U | u16(bytes, at + 2)};
}

template <std::size_t N>
std::array<std::uint8_t, N> octets_at(Bytes bytes, std::size_t at) {
  std::array<std::uint8_t, N> out{};
  for (std::size_t i = 0; i < N; ++i) out[i] = u8(bytes, at + i);
  return out;
}

void decode_port(Frame& frame, Bytes transport) {
  const bool has_ports = frame.protocol == kTcp || frame.protocol == kUdp;
  if (has_ports && transport.size() >= 4) frame.destination_port = u16(transport, 2);
}

void decode_ipv4(Frame& frame, Bytes packet) {
  if (packet.size() < 20) return;
  frame.protocol = u8(packet, 9);
  frame.ipv4_source = address_at(packet, 12);
  frame.ipv4_destination = address_at(packet, 16);
  const std::size_t header = (u8(packet, 0) & 15U) * 4UL;
  const bool first_fragment = (u16(packet, 6) & 0x1FFFU) == 0;
  if (first_fragment && header >= 20 && packet.size() > header) {
    decode_port(frame, packet.subspan(header));
  }
}

void decode_ipv6(Frame& frame, Bytes packet) {
  if (packet.size() < 40) return;
  frame.protocol = u8(packet, 6);
  frame.ipv6_destination = octets_at<16>(packet, 24);
  decode_port(frame, packet.subspan(40));
}

void decode_arp(Frame& frame, Bytes packet) {
  if (packet.size() < 28) return;
  frame.arp_request = u16(packet, 6) == 1;
  frame.ipv4_source = address_at(packet, 14);
  frame.arp_target = address_at(packet, 24);
}

bool ipv4_inside(Ipv4 address, const Members& members) {
  if (address.value == 0xFFFFFFFF || address.value == 0) return true;
  if ((address.value & 0xFFFFFF00U) == 0xE0000000U) return true;  // 224.0.0.0/24 stays on the link
  if (members.addresses.contains(address)) return true;
  const auto has = [address](const Ipv4Prefix& prefix) { return prefix.contains(address); };
  if (std::ranges::any_of(members.cluster_networks, has)) return true;
  return std::ranges::any_of(members.subnets,
                             [&](const auto& net) { return net.broadcast() == address; });
}

bool ipv6_inside(const Ipv6& address) {
  const bool link_local = address[0] == 0xFE && (address[1] & 0xC0U) == 0x80;
  const bool link_multicast = address[0] == 0xFF && (address[1] & 15U) <= 2;
  return link_local || link_multicast;
}

std::string ipv6_text(const Ipv6& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET6, address.data(), text.data(), text.size());
  return text.data();
}

std::string protocol_text(const Frame& frame) {
  if (!frame.protocol) return "ip";
  switch (*frame.protocol) {
    case 1:
      return "icmp";
    case kTcp:
      return "tcp";
    case kUdp:
      return "udp";
    default:
      return fmt::format("ip-protocol-{}", *frame.protocol);
  }
}

}  // namespace

std::optional<Mac> parse_mac(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  Mac mac{};
  for (std::size_t i = 0; i < mac.size(); ++i) {
    const char* begin = text.data() + i * 3;
    const auto parsed = std::from_chars(begin, begin + 2, mac[i], 16);
    if (parsed.ec != std::errc{} || parsed.ptr != begin + 2) return std::nullopt;
    if (i < 5 && begin[2] != ':') return std::nullopt;
  }
  return mac;
}

std::string to_string(const Mac& mac) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3],
                     mac[4], mac[5]);
}

std::optional<Frame> decode_frame(std::span<const std::byte> bytes) {
  if (bytes.size() < 14) return std::nullopt;
  Frame frame;
  frame.destination = octets_at<6>(bytes, 0);
  frame.source = octets_at<6>(bytes, 6);
  std::size_t at = 12;
  frame.ethertype = u16(bytes, at);
  while (frame.ethertype == kVlan && bytes.size() >= at + 6) {
    at += 4;
    frame.ethertype = u16(bytes, at);
  }
  const auto packet = bytes.subspan(at + 2);
  if (frame.ethertype == kIpv4) decode_ipv4(frame, packet);
  if (frame.ethertype == kIpv6) decode_ipv6(frame, packet);
  if (frame.ethertype == kArp) decode_arp(frame, packet);
  return frame;
}

std::string describe(const Frame& frame) {
  const auto station =
      fmt::format("{} > {}", to_string(frame.source), to_string(frame.destination));
  if (frame.arp_target) {
    return fmt::format("arp {} {} ({})", frame.arp_request ? "who-has" : "reply to",
                       frame.arp_target->str(), station);
  }
  const auto port =
      frame.destination_port ? fmt::format(" port {}", *frame.destination_port) : std::string();
  if (frame.ipv4_destination) {
    return fmt::format("{} {} > {}{} ({})", protocol_text(frame), frame.ipv4_source->str(),
                       frame.ipv4_destination->str(), port, station);
  }
  if (frame.ipv6_destination) {
    return fmt::format("{} to {}{} ({})", protocol_text(frame), ipv6_text(*frame.ipv6_destination),
                       port, station);
  }
  return fmt::format("ethertype {:#06x} ({})", frame.ethertype, station);
}

bool for_elsewhere(const Frame& frame, const Members& members) {
  if (!frame.multicast() && !members.macs.contains(frame.destination)) return true;
  switch (frame.ethertype) {
    case kIpv4:
      return frame.ipv4_destination && !ipv4_inside(*frame.ipv4_destination, members);
    case kArp:
      return frame.arp_target && frame.arp_target->value != 0 &&
             !members.addresses.contains(*frame.arp_target);
    case kIpv6:
      return frame.ipv6_destination && !ipv6_inside(*frame.ipv6_destination);
    default: {
      // Bridges' own groups (LLDP, spanning tree) end at the next station.
      const bool link_group = frame.destination[0] == 0x01 && frame.destination[1] == 0x80 &&
                              frame.destination[2] == 0xC2;
      return frame.multicast() && !link_group;
    }
  }
}

}  // namespace bedplate::lab

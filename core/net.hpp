#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace bedplate {

/// An IPv4 address. (IPv6 sites are not supported yet; the validator says so.)
struct Ipv4 {
  std::uint32_t value = 0;  ///< host byte order
  static Result<Ipv4> parse(std::string_view text);
  std::string str() const;
  friend auto operator<=>(const Ipv4&, const Ipv4&) = default;
};

/// An address with its prefix length: "192.0.2.11/24".
struct Ipv4Prefix {
  Ipv4 address;
  int length = 0;
  static Result<Ipv4Prefix> parse(std::string_view text);
  std::string str() const;
  Ipv4 network() const;
  Ipv4 broadcast() const;
  bool contains(Ipv4 other) const;
  bool overlaps(const Ipv4Prefix& other) const;
  /// The n-th address of the network (0 is the network address).
  Ipv4 nth(std::uint32_t n) const;
  friend bool operator==(const Ipv4Prefix&, const Ipv4Prefix&) = default;
};

/// Lower case with colons, or nothing when it is not a MAC address. Accepts - and : as separators.
std::optional<std::string> normalize_mac(std::string_view text);

/// RFC 1123 label: what a node or site may be called.
bool is_dns_label(std::string_view text);
bool is_dns_name(std::string_view text);

}  // namespace bedplate

#include "core/net.hpp"

#include <cctype>
#include <optional>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "core/text.hpp"

namespace bedplate {
namespace {

std::uint32_t mask_of(int length) {
  return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
}

}  // namespace

Result<Ipv4> Ipv4::parse(std::string_view text) {
  in_addr address{};
  const std::string copy(text.substr(0, 64));
  if (::inet_pton(AF_INET, copy.c_str(), &address) != 1) {
    return fail(ErrorKind::invalid,
                fmt::format("'{}' is not an IPv4 address (such as 192.0.2.10)", copy));
  }
  return Ipv4{ntohl(address.s_addr)};
}

std::string Ipv4::str() const {
  return fmt::format("{}.{}.{}.{}", value >> 24U, (value >> 16U) & 255U, (value >> 8U) & 255U,
                     value & 255U);
}

Result<Ipv4Prefix> Ipv4Prefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  std::optional<unsigned> length;
  if (slash != std::string_view::npos) length = parse_unsigned<unsigned>(text.substr(slash + 1));
  auto address = Ipv4::parse(text.substr(0, slash));
  if (!address || !length || *length > 32) {
    return fail(ErrorKind::invalid,
                fmt::format("'{}' is not an IPv4 address with a prefix length (such as "
                            "192.0.2.10/24)",
                            text.substr(0, 64)));
  }
  return Ipv4Prefix{*address, static_cast<int>(*length)};
}

std::string Ipv4Prefix::str() const {
  return fmt::format("{}/{}", address.str(), length);
}
Ipv4 Ipv4Prefix::network() const {
  return Ipv4{address.value & mask_of(length)};
}
Ipv4 Ipv4Prefix::broadcast() const {
  return Ipv4{address.value | ~mask_of(length)};
}
bool Ipv4Prefix::contains(Ipv4 other) const {
  return (other.value & mask_of(length)) == network().value;
}
bool Ipv4Prefix::overlaps(const Ipv4Prefix& other) const {
  return contains(other.network()) || other.contains(network());
}
Ipv4 Ipv4Prefix::nth(std::uint32_t n) const {
  return Ipv4{network().value + n};
}

std::optional<std::string> normalize_mac(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (i % 3 == 2) {
      if (c != ':' && c != '-') return std::nullopt;
      out += ':';
    } else {
      if (std::isxdigit(c) == 0) return std::nullopt;
      out += static_cast<char>(std::tolower(c));
    }
  }
  return out;
}

bool is_dns_label(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  for (const char c : text) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  }
  return true;
}

bool is_dns_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  while (true) {
    const auto dot = text.find('.');
    if (!is_dns_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

}  // namespace bedplate

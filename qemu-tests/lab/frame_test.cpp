#include "qemu-tests/lab/frame.hpp"

#include <gtest/gtest.h>

#include "core/digest.hpp"
#include "core/file.hpp"

namespace bedplate::lab {
namespace {

constexpr const char* kNode1 = "525400000001";
constexpr const char* kNode2 = "525400000002";
constexpr const char* kAll = "ffffffffffff";

std::string bytes(const std::string& hex) {
  return hex_decode(hex).value();
}

Frame decode(const std::string& hex) {
  return decode_frame(as_byte_span(bytes(hex))).value();
}

std::string hex_address(const char* text) {
  const auto value = Ipv4::parse(text)->value;
  std::string out;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    const auto byte = static_cast<std::byte>(value >> shift & 255U);
    out += hex_encode(std::span(&byte, 1));
  }
  return out;
}

std::string arp_request(const char* target) {
  return std::string(kAll) + kNode1 + "0806" + "0001080006040001" + kNode1 +
         hex_address("192.0.2.11") + "000000000000" + hex_address(target);
}

/// UDP with an empty payload to port 123.
std::string ntp(const std::string& station, const char* destination) {
  return station + kNode1 + "0800" + "4500001c00004000" + "4011" + "0000" +
         hex_address("192.0.2.11") + hex_address(destination) + "c000" + "007b" + "00080000";
}

Members lab() {
  Members members;
  members.macs = {*parse_mac("52:54:00:00:00:01"), *parse_mac("52:54:00:00:00:02")};
  members.addresses = {*Ipv4::parse("192.0.2.11"), *Ipv4::parse("192.0.2.12")};
  members.cluster_networks = {*Ipv4Prefix::parse("10.244.0.0/16")};
  members.subnets = {*Ipv4Prefix::parse("192.0.2.11/24")};
  return members;
}

bool elsewhere(const std::string& hex) {
  return for_elsewhere(decode(hex), lab());
}

TEST(Frame, MacTextIsReadAndWritten) {
  const auto mac = parse_mac("52:54:00:ab:00:01");
  ASSERT_TRUE(mac);
  EXPECT_EQ(to_string(*mac), "52:54:00:ab:00:01");
  EXPECT_FALSE(parse_mac("52:54:00:ab:00"));
  EXPECT_FALSE(parse_mac("52-54-00-ab-00-01"));
  EXPECT_FALSE(parse_mac("52:54:00:ab:00:zz"));
}

TEST(Frame, UdpIsDecodedToItsPort) {
  const auto frame = decode(ntp(kNode2, "198.51.100.7"));
  EXPECT_EQ(frame.ipv4_destination->str(), "198.51.100.7");
  EXPECT_EQ(frame.destination_port, 123);
  EXPECT_EQ(describe(frame),
            "udp 192.0.2.11 > 198.51.100.7 port 123 (52:54:00:00:00:01 > 52:54:00:00:00:02)");
}

TEST(Frame, VlanTagsAreLookedThrough) {
  auto hex = ntp(kNode2, "192.0.2.12");
  hex.insert(24, "81000005");
  EXPECT_EQ(decode(hex).ipv4_destination->str(), "192.0.2.12");
}

TEST(Frame, TruncatedPacketsAreNoTrouble) {
  const auto whole = bytes(ntp(kNode2, "192.0.2.12"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto frame = decode_frame(as_byte_span(std::string_view(whole).substr(0, size)));
    EXPECT_EQ(frame.has_value(), size >= 14);
    if (frame) {
      EXPECT_FALSE(describe(*frame).empty());
    }
  }
}

TEST(Frame, MembersMayBeAskedForAndSpokenTo) {
  EXPECT_FALSE(elsewhere(arp_request("192.0.2.12")));
  EXPECT_FALSE(elsewhere(ntp(kNode2, "192.0.2.12")));
  EXPECT_FALSE(elsewhere(ntp(kNode2, "10.244.1.7")));
  EXPECT_FALSE(elsewhere(ntp(kAll, "192.0.2.255")));
  EXPECT_FALSE(elsewhere(ntp(kAll, "255.255.255.255")));
}

TEST(Frame, AnyoneElseIsElsewhere) {
  EXPECT_TRUE(elsewhere(arp_request("192.0.2.1")));
  EXPECT_TRUE(elsewhere(ntp(kNode2, "198.51.100.7")));
  EXPECT_TRUE(elsewhere(ntp("525400000099", "192.0.2.12")));
  EXPECT_TRUE(elsewhere(ntp("01005e000101", "224.0.1.1")));
}

TEST(Frame, LinkHousekeepingIsNotElsewhere) {
  const std::string solicitation = std::string("3333ff000001") + kNode1 + "86dd" +
                                   "60000000"
                                   "0000"
                                   "3aff" +
                                   std::string(32, '0') + "ff0200000000000000000001ff000001";
  EXPECT_FALSE(elsewhere(solicitation));
  EXPECT_FALSE(elsewhere(ntp("01005e000016", "224.0.0.22")));
  EXPECT_FALSE(elsewhere(std::string("0180c200000e") + kNode1 + "88cc0000"));
  const std::string global = std::string(kNode2) + kNode1 + "86dd" +
                             "60000000"
                             "0000"
                             "3aff" +
                             std::string(32, '0') + "20010db8000000000000000000000001";
  EXPECT_TRUE(elsewhere(global));
}

}  // namespace
}  // namespace bedplate::lab

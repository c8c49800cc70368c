// Errors, times, numbers for people, addresses, JSON.

#include <set>

#include <gtest/gtest.h>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/json.hpp"
#include "core/net.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(ErrorKind::invalid, "odd", "use an even number");
  return value / 2;
}

Result<int> quarter(int value) {
  BP_TRY_DURING(const int first, "halving once", half(value));
  BP_TRY(const int second, half(first));
  return second;
}

TEST(Error, ReachesTheUserOnceWithItsStory) {
  EXPECT_EQ(quarter(8).value(), 2);
  const auto result = quarter(7);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().render(),
            "error: odd\nwhile: halving once\nhint:  use an even number\n");
  EXPECT_EQ(
      result.error().to_json().dump(),
      R"({"error":"odd","hint":"use an even number","kind":"invalid","while":["halving once"]})");
}

TEST(Error, WhatOthersSentReachesNobodyRaw) {
  const auto error =
      Error(ErrorKind::network, "\x1b[2J\xff").during("asking \x07").with_hint("\xC2\x9B");
  EXPECT_EQ(error.render().find_first_of("\x1b\x07\x9b\xff"), std::string::npos);
  EXPECT_EQ(error.to_json().dump(),
            R"({"error":"?[2J?","hint":"?","kind":"network","while":["asking ?"]})");
}

TEST(Error, TheInnermostHintWins) {
  Error error(ErrorKind::io, "x");
  error.with_hint("specific").with_hint("general");
  EXPECT_EQ(error.hint, "specific");
}

TEST(Error, ExitCodesAreDistinct) {
  std::set<int> seen;
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::cancelled); ++kind) {
    EXPECT_TRUE(seen.insert(exit_code(static_cast<ErrorKind>(kind))).second);
  }
  EXPECT_EQ(exit_code(ErrorKind::untrusted), 7);
  EXPECT_FALSE(seen.contains(0));
}

TEST(Error, FullDiskSaysWhatToDo) {
  EXPECT_NE(system_error(ENOSPC, "cannot write").hint.find("df -h"), std::string::npos);
}

TEST(Time, FormatsAndParses) {
  const WallTime time{std::chrono::seconds{951'782'400}};
  EXPECT_EQ(format_rfc3339(time), "2000-02-29T00:00:00Z");
  EXPECT_EQ(parse_rfc3339("2000-02-29T00:00:00Z").value(), time);
  for (const char* bad : {"", "2001-02-29T00:00:00Z", "2000-02-29 00:00:00Z",
                          "2000-02-29T00:00:00Zx", "2000-02-29T00:00:00+01:00"}) {
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
  }
}

TEST(Format, BytesAndDurations) {
  EXPECT_EQ(format_bytes(12), "12 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(5ULL << 30), "5.0 GiB");
  EXPECT_EQ(format_duration(std::chrono::milliseconds(3240)), "3.2 s");
  EXPECT_EQ(format_duration(std::chrono::seconds(245)), "4 min 05 s");
  EXPECT_EQ(format_duration(std::chrono::seconds(3720)), "1 h 02 min");
}

TEST(Net, Addresses) {
  EXPECT_EQ(Ipv4::parse("192.0.2.1")->str(), "192.0.2.1");
  for (const char* bad : {"", "192.0.2", "192.0.2.256", "::1", "192.0.2.1/24"}) {
    EXPECT_FALSE(Ipv4::parse(bad)) << bad;
  }
}

TEST(Net, Prefixes) {
  const auto prefix = Ipv4Prefix::parse("192.0.2.11/24").value();
  EXPECT_EQ(prefix.network().str(), "192.0.2.0");
  EXPECT_EQ(prefix.broadcast().str(), "192.0.2.255");
  EXPECT_EQ(prefix.nth(10).str(), "192.0.2.10");
  EXPECT_TRUE(prefix.contains(Ipv4::parse("192.0.2.200").value()));
  EXPECT_FALSE(prefix.contains(Ipv4::parse("192.0.3.1").value()));
  EXPECT_TRUE(prefix.overlaps(Ipv4Prefix::parse("192.0.0.0/16").value()));
  EXPECT_TRUE(Ipv4Prefix::parse("0.0.0.0/0")->contains(Ipv4::parse("1.2.3.4").value()));
  for (const char* bad : {"192.0.2.11", "192.0.2.11/33", "192.0.2.11/", "192.0.2.11/2x"}) {
    EXPECT_FALSE(Ipv4Prefix::parse(bad)) << bad;
  }
}

TEST(Net, MacsAndNames) {
  EXPECT_EQ(normalize_mac("52-54-00-BE-D0-01").value(), "52:54:00:be:d0:01");
  EXPECT_FALSE(normalize_mac("52:54:00:be:d0"));
  EXPECT_FALSE(normalize_mac("52:54:00:be:d0:0g"));
  EXPECT_TRUE(is_dns_name("two-nodes.example"));
  EXPECT_FALSE(is_dns_name("two..example"));
  EXPECT_FALSE(is_dns_label("-a"));
  EXPECT_FALSE(is_dns_label("Node"));
}

TEST(JsonInput, RefusesWhatIsBroken) {
  EXPECT_EQ(parse_json("{", "x.json").error().kind, ErrorKind::invalid);
  EXPECT_NE(parse_json("{", "x.json").error().what.find("x.json"), std::string::npos);
  EXPECT_FALSE(parse_json(std::string(100, '[') + std::string(100, ']'), "deep"));
  const auto value = parse_json(R"({"a":"b","n":3})", "x").value();
  EXPECT_EQ(json_string(value, "a").value(), "b");
  EXPECT_EQ(json_uint(value, "n").value(), 3U);
  EXPECT_FALSE(json_string(value, "n"));
  EXPECT_FALSE(json_uint(value, "a"));
  EXPECT_EQ(json_string_or(value, "missing", "d"), "d");
}

}  // namespace
}  // namespace bedplate

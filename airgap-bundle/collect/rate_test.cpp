#include "airgap-bundle/collect/rate.hpp"

#include <gtest/gtest.h>

namespace bedplate::collect {
namespace {

using std::chrono::milliseconds;

TEST(RateLimit, WaitsUntilTheBytesMayHaveCome) {
  FakeClock clock;
  clock.uptime = milliseconds(500);  // the credit of the beginning is used up below
  RateLimit rate(1000, clock);
  rate.take(500);
  rate.take(500);
  const auto start = clock.uptime;
  for (int i = 0; i < 10; ++i) rate.take(100);
  EXPECT_EQ(clock.uptime - start, milliseconds(1000));
}

TEST(RateLimit, AfterAPauseHalfASecondIsCaughtUp) {
  FakeClock clock;
  RateLimit rate(1000, clock);
  rate.take(1000);
  clock.uptime += std::chrono::hours(1);
  const auto start = clock.uptime;
  rate.take(500);
  EXPECT_EQ(clock.uptime, start);
  rate.take(500);
  EXPECT_EQ(clock.uptime - start, milliseconds(500));
}

TEST(RateLimit, WithoutABoundNothingWaits) {
  FakeClock clock;
  RateLimit rate(0, clock);
  rate.take(1ULL << 50);
  EXPECT_EQ(clock.uptime, milliseconds(0));
}

TEST(ParseRate, ReadsWhatCurlReads) {
  EXPECT_EQ(parse_rate("4096").value(), 4096U);
  EXPECT_EQ(parse_rate("800K").value(), 800U << 10);
  EXPECT_EQ(parse_rate("1.5G").value(), 3ULL << 29);
  EXPECT_EQ(parse_rate("2T").value(), 2ULL << 40);
  for (const auto* wrong : {"", "0", "-1", "K", "10MB", "10 M", "inf", "nan", "1e30", "0x10"}) {
    const auto rate = parse_rate(wrong);
    ASSERT_FALSE(rate) << wrong;
    EXPECT_EQ(rate.error().kind, ErrorKind::usage);
  }
}

}  // namespace
}  // namespace bedplate::collect

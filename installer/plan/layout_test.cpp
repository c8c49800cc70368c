#include "installer/plan/layout.hpp"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bedplate::installer {
namespace {

TEST(Layout, IsAlignedGaplessAndInsideTheDiskForEverySize) {
  for (const auto bundle : {std::uint64_t{0}, 3 * kGiB / 2, 20 * kGiB}) {
    for (auto size = minimum_disk(bundle); size < 2000 * kGiB; size = size * 11 / 10 + 4097) {
      std::uint64_t position = kMiB;
      for (const auto& part : make_layout(size, bundle, "x")) {
        EXPECT_EQ(part.start, position);
        EXPECT_EQ(part.size % kMiB, 0U);
        EXPECT_GT(part.size, 0U);
        position += part.size;
      }
      EXPECT_LE(position + kMiB, size);
      EXPECT_GE(make_layout(size, bundle, "x")[4].size, minimum_state(bundle)) << size;
    }
  }
}

TEST(Layout, GivesDataItsOwnPartitionFrom64GiBOn) {
  EXPECT_EQ(make_layout(63 * kGiB, kGiB, "x").size(), 5U);
  EXPECT_EQ(make_layout(64 * kGiB, kGiB, "x").size(), 6U);
}

TEST(Layout, GuidsDependOnTheIdentityOnly) {
  const auto one = make_layout(32 * kGiB, kGiB, "site\nnode\ndisk");
  const auto same = make_layout(32 * kGiB, kGiB, "site\nnode\ndisk");
  const auto other = make_layout(32 * kGiB, kGiB, "site\nnode\nother");
  EXPECT_EQ(one, same);
  std::set<std::string> guids;
  for (const auto& part : one) guids.insert(part.uuid);
  for (const auto& part : other) guids.insert(part.uuid);
  EXPECT_EQ(guids.size(), one.size() + other.size());
}

TEST(Layout, GuidIsVersion8) {
  EXPECT_THAT(deterministic_guid("x"),
              ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                                      "[0-9a-f]{12}"));
}

}  // namespace
}  // namespace bedplate::installer

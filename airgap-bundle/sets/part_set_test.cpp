#include "airgap-bundle/sets/part_set.hpp"

#include <algorithm>
#include <optional>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "airgap-bundle/sets/any.hpp"
#include "airgap-bundle/sets/join.hpp"
#include "airgap-bundle/sets/split.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/killing.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PartSetTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    create(file());
    whole_ = *digest_file(file());
  }

  std::vector<PublicKey> keys() const { return {key_.public_key()}; }
  fs::path joined() const { return folder() / "joined.bundle"; }
  fs::path partial() const { return folder() / "joined.bundle.partial"; }

  sets::SplitOptions options() const {
    sets::SplitOptions out;
    out.bundle = file();
    out.to = folder() / "parts";
    out.part_size = part_size_;
    return out;
  }

  /// All parts, in their order.
  std::vector<fs::path> split() {
    const auto plan = sets::split(options(), keys(), nullptr);
    EXPECT_TRUE(plan) << plan.error().render();
    return plan ? paths(plan->layout.count()) : std::vector<fs::path>{};
  }
  std::vector<fs::path> paths(std::uint32_t count) const {
    std::vector<fs::path> out;
    for (std::uint32_t i = 1; i <= count; ++i) {
      out.push_back(options().to / sets::part_name("site.bundle", i, count));
    }
    return out;
  }

  /// The second one of the same bundle, split otherwise.
  fs::path part_of_another_set() const {
    auto other = options();
    other.part_size = 120'000;
    other.to = folder() / "other";
    const auto plan = sets::split(other, keys(), nullptr);
    EXPECT_TRUE(plan) << plan.error().render();
    return plan ? other.to / sets::part_name("site.bundle", 2, plan->layout.count()) : fs::path();
  }

  Result<void> verify(const std::vector<fs::path>& files) const {
    BP_CHECK(sets::verify_any(files, keys(), nullptr));
    return {};
  }
  Result<void> join(const std::vector<fs::path>& files, Progress* progress = nullptr) const {
    BP_CHECK(sets::join({files, joined()}, keys(), progress));
    return {};
  }
  void expect_joined() const {
    EXPECT_EQ(*digest_file(joined()), whole_);
    EXPECT_FALSE(fs::exists(partial()));
    EXPECT_FALSE(fs::exists(partial().string() + ".state"));
  }

  static void expect_error(const Result<void>& result, ErrorKind kind, const std::string& text) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, kind) << result.error().render();
    EXPECT_THAT(result.error().render(), HasSubstr(text));
    EXPECT_FALSE(result.error().hint.empty()) << result.error().render();
  }

  std::uint64_t part_size_ = 60'000;
  Digest whole_;
};

TEST_F(PartSetTest, PartsFitAndJoinToTheSameBytesInAnyOrder) {
  auto parts = split();
  ASSERT_GT(parts.size(), 3U);
  for (const auto& part : parts) EXPECT_LE(fs::file_size(part), part_size_);
  ASSERT_OK(verify(parts));
  std::ranges::reverse(parts);
  std::swap(parts[0], parts[1]);
  ASSERT_OK(verify(parts));
  ASSERT_OK(join(parts));
  expect_joined();
}

TEST_F(PartSetTest, NamesSortAsNumbers) {
  EXPECT_EQ(sets::part_name("a", 3, 9), "a.3of9");
  EXPECT_EQ(sets::part_name("a", 3, 12), "a.03of12");
}

TEST_F(PartSetTest, JoinedAlreadyNothingIsDone) {
  const auto parts = split();
  ASSERT_OK(join(parts));
  struct stat before{};
  ASSERT_EQ(::stat(joined().c_str(), &before), 0);
  ASSERT_OK(join({parts[1]}));
  struct stat after{};
  ASSERT_EQ(::stat(joined().c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(PartSetTest, WhatWasJoinedAndThenDamagedIsMadeAgain) {
  const auto parts = split();
  ASSERT_OK(join(parts));
  flip(joined(), fs::file_size(joined()) / 2);
  expect_error(join({parts[1]}), ErrorKind::not_found, "still needed");
  ASSERT_OK(join(parts));
  expect_joined();
}

TEST_F(PartSetTest, AWrongDiscDoesNotCostWhatTheRightOnesBrought) {
  const auto parts = split();
  expect_error(join({parts[0], parts[1]}), ErrorKind::not_found, "still needed");
  const auto wrong = part_of_another_set();
  for (int i = 0; i < 3; ++i) expect_error(join({wrong}), ErrorKind::conflict, "another set");
  ASSERT_OK(join({parts.begin() + 2, parts.end()}));
  expect_joined();
}

TEST_F(PartSetTest, AFirstPartThatSufferedHereIsCopiedAgain) {
  const auto parts = split();
  expect_error(join({parts[0], parts[1]}), ErrorKind::not_found, "still needed");
  flip(partial(), 600);  // in the header
  EXPECT_FALSE(join(parts));
  ASSERT_OK(join(parts));
  expect_joined();
}

TEST_F(PartSetTest, HeaderIsReadFromPartOneAlone) {
  const auto parts = split();
  const auto header = sets::read_any_header({parts[0]}, keys());
  ASSERT_OK(header);
  EXPECT_EQ(header->header.name, "test");
  EXPECT_EQ(header->end, fs::file_size(file()));
  const auto without = sets::read_any_header({parts[1]}, keys());
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().kind, ErrorKind::not_found);
  EXPECT_THAT(without.error().what, HasSubstr("part 1 of"));
}

TEST_F(PartSetTest, EachMissingPartIsNamed) {
  const auto parts = split();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto some = parts;
    some.erase(some.begin() + static_cast<long>(i));
    expect_error(verify(some), ErrorKind::not_found,
                 "part " + std::to_string(i + 1) + " of " + std::to_string(parts.size()));
  }
  expect_error(verify({parts[0]}), ErrorKind::not_found, "parts 2, 3");
}

TEST_F(PartSetTest, EachDamagedPartIsNamedAndNoOther) {
  const auto parts = split();
  for (std::size_t i = 1; i < parts.size(); ++i) {
    flip(parts[i], 512 + fs::file_size(parts[i]) / 3);
    const auto verified = verify(parts);
    expect_error(verified, ErrorKind::corrupt, "part " + std::to_string(i + 1) + " (");
    for (std::size_t other = 0; other < parts.size(); ++other) {
      if (other == i) continue;
      EXPECT_THAT(verified.error().what, Not(HasSubstr(parts[other].string())));
    }
    auto some = parts;
    some.erase(some.begin());
    expect_error(verify(some), ErrorKind::corrupt, parts[i].string());
    flip(parts[i], 512 + fs::file_size(parts[i]) / 3);
  }
  flip(parts[1], 1000);
  flip(parts[3], 1000);
  const auto both = verify(parts);
  expect_error(both, ErrorKind::corrupt, parts[1].string());
  EXPECT_THAT(both.error().what, HasSubstr(parts[3].string()));
}

TEST_F(PartSetTest, ADamagedFirstPartIsRefusedByItsSignature) {
  const auto parts = split();
  flip(parts[0], 512 + 700);
  expect_error(verify(parts), ErrorKind::untrusted, parts[0].string());
  expect_error(join(parts), ErrorKind::untrusted, parts[0].string());
  EXPECT_FALSE(fs::exists(partial()));
}

TEST_F(PartSetTest, EveryByteOfAPartsHeaderCounts) {
  const auto parts = split();
  for (std::uint64_t at = 0; at < 512; ++at) {
    flip(parts[2], at, static_cast<unsigned char>(1U << (at % 8)));
    const auto verified = verify(parts);
    ASSERT_FALSE(verified) << at;
    EXPECT_THAT(verified.error().render(), HasSubstr(parts[2].string())) << at;
    flip(parts[2], at, static_cast<unsigned char>(1U << (at % 8)));
  }
  ASSERT_OK(verify(parts));
}

TEST_F(PartSetTest, APartThatWasCutOffIsNamed) {
  const auto parts = split();
  const auto size = fs::file_size(parts[1]);
  for (const std::uint64_t length :
       {size - 1, std::uint64_t{512}, std::uint64_t{100}, std::uint64_t{0}, size + 1}) {
    fs::resize_file(parts[1], length);
    const auto verified = verify(parts);
    ASSERT_FALSE(verified) << length;
    EXPECT_EQ(verified.error().kind, ErrorKind::corrupt) << length;
    EXPECT_THAT(verified.error().render(), HasSubstr(parts[1].string())) << length;
  }
}

TEST_F(PartSetTest, ForeignPartsAreNamed) {
  auto parts = split();
  const auto foreign = part_of_another_set();
  ASSERT_TRUE(fs::exists(foreign));
  auto mixed = parts;
  mixed[1] = foreign;
  expect_error(verify(mixed), ErrorKind::invalid, foreign.string() + " belongs to another set");
  expect_error(join(mixed), ErrorKind::invalid, foreign.string());
  mixed.push_back(parts[1]);
  expect_error(verify(mixed), ErrorKind::invalid, foreign.string());
  auto twice = parts;
  fs::copy_file(parts[2], folder() / "copy");
  twice.push_back(folder() / "copy");
  expect_error(verify(twice), ErrorKind::invalid, "both part 3");
}

TEST_F(PartSetTest, SeveralBundlesAreNoSet) {
  const auto parts = split();
  expect_error(verify({file(), parts[0]}), ErrorKind::usage, "no part of a bundle");
  expect_error(verify({parts[0], file()}), ErrorKind::corrupt, file().string());
}

// The checksum of a part is no signature. Whoever makes it right again is found all the same.
TEST_F(PartSetTest, AForgedPartIsFoundByTheSignature) {
  const auto parts = split();
  auto bytes = *read_file(parts[1]);
  bytes[2000] = static_cast<char>(bytes[2000] ^ 1);
  auto header = *bundle::parse_part_header(std::string_view(bytes).substr(0, 512));
  header.content = Digest::of(std::string_view(bytes).substr(512));
  write(parts[1], bundle::to_bytes(header) + bytes.substr(512));
  ASSERT_OK(sets::check_alone(parts, nullptr));
  expect_error(verify(parts), ErrorKind::corrupt, "not what was signed");
  expect_error(join(parts), ErrorKind::corrupt, "not what was signed");
  EXPECT_FALSE(fs::exists(joined()));
}

TEST_F(PartSetTest, AnotherKeyIsUntrustedAndNothingIsCopied) {
  const auto parts = split();
  const std::vector other{PrivateKey::generate().public_key()};
  const auto joining = sets::join({parts, joined()}, other, nullptr);
  ASSERT_FALSE(joining);
  EXPECT_EQ(joining.error().kind, ErrorKind::untrusted);
  EXPECT_FALSE(fs::exists(partial()));
  EXPECT_EQ(sets::verify_any(parts, other, nullptr).error().kind, ErrorKind::untrusted);
}

TEST_F(PartSetTest, JoinsPartAfterPartAsDiscsGoThroughADrive) {
  auto parts = split();
  std::ranges::reverse(parts);
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    expect_error(join({parts[i]}), ErrorKind::not_found, "still needed");
    EXPECT_FALSE(fs::exists(joined()));
    fs::remove(parts[i]);  // the next disc is in the drive
  }
  ASSERT_OK(join({parts.back()}));
  expect_joined();
}

TEST_F(PartSetTest, ADamagedPartIsReplacedWithoutTheOthers) {
  const auto parts = split();
  const auto good = *read_file(parts[2]);
  flip(parts[2], 5000);
  expect_error(join(parts), ErrorKind::corrupt, parts[2].string());
  EXPECT_FALSE(fs::exists(joined()));
  const auto needed = join({parts[0]});
  expect_error(needed, ErrorKind::not_found, "part");
  write(parts[2], good);
  for (std::size_t i = 0; i < 2; ++i) fs::remove(parts[i]);
  ASSERT_OK(join({parts.begin() + 2, parts.end()}));
  expect_joined();
}

TEST_F(PartSetTest, PlanOfJoinCountsWhatIsThere) {
  const auto parts = split();
  const auto before = sets::plan_join({parts, joined()});
  ASSERT_OK(before);
  ASSERT_EQ(before->size(), 1U);
  EXPECT_EQ((*before)[0].needed, fs::file_size(file()));
  EXPECT_FALSE(join({parts[0], parts[1]}));
  const auto after = sets::plan_join({{parts[2]}, joined()});
  ASSERT_OK(after);
  EXPECT_LT((*after)[0].needed, (*before)[0].needed);
}

TEST_F(PartSetTest, SplitKeepsWholePartsAndMakesDamagedOnesAgain) {
  const auto parts = split();
  struct stat kept{};
  ASSERT_EQ(::stat(parts[0].c_str(), &kept), 0);
  flip(parts[1], 3000);
  fs::remove(parts[2]);
  const auto plan = sets::plan_split(options(), keys());
  ASSERT_OK(plan);
  EXPECT_EQ(plan->write, (std::vector<std::uint32_t>{2, 3}));
  split();
  struct stat now{};
  ASSERT_EQ(::stat(parts[0].c_str(), &now), 0);
  EXPECT_EQ(now.st_ino, kept.st_ino);
  ASSERT_OK(verify(parts));
}

TEST_F(PartSetTest, SplitWritesOnlyTheWantedPart) {
  auto some = options();
  some.only = {2};
  const auto plan = sets::split(some, keys(), nullptr);
  ASSERT_OK(plan);
  const auto parts = paths(plan->layout.count());
  EXPECT_FALSE(fs::exists(parts[0]));
  ASSERT_OK(sets::check_alone({parts[1]}, nullptr));
  EXPECT_EQ(plan->space[0].needed, fs::file_size(parts[1]));
  some.only = {99};
  EXPECT_EQ(sets::split(some, keys(), nullptr).error().kind, ErrorKind::usage);
}

TEST_F(PartSetTest, PartsThatAreTooSmallAreRefused) {
  auto small = options();
  for (const std::uint64_t size : {0, 1, 512, 4096, 8192}) {
    small.part_size = size;
    const auto plan = sets::split(small, keys(), nullptr);
    ASSERT_FALSE(plan) << size;
    EXPECT_EQ(plan.error().kind, ErrorKind::usage) << size;
  }
  EXPECT_FALSE(fs::exists(small.to));
}

TEST_F(PartSetTest, MovedPartsReplaceTheBundle) {
  auto moving = options();
  moving.move = true;
  const auto plan = sets::split(moving, keys(), nullptr);
  ASSERT_OK(plan);
  EXPECT_FALSE(fs::exists(file()));
  EXPECT_LE(plan->space[0].needed, part_size_);
  ASSERT_OK(join(paths(plan->layout.count())));
  expect_joined();
}

TEST_F(PartSetTest, AMoveThatWasKilledAnywhereGoesOn) {
  auto moving = options();
  moving.move = true;
  const auto total = fs::file_size(file());
  const auto bundle = *read_file(file());
  std::size_t kills = 0;
  for (std::uint64_t after = 1; after < total; after += total / 7) {
    write(file(), bundle);
    fs::remove_all(moving.to);
    if (killed_after(after, [&](Progress* progress) {
          return sets::split(moving, keys(), progress).has_value();
        })) {
      ++kills;
    }
    // Whatever is left of the bundle and its parts is all of it; what was half written goes.
    const auto plan = sets::split(moving, keys(), nullptr);
    ASSERT_TRUE(plan) << plan.error().render();
    EXPECT_FALSE(fs::exists(file()));
    EXPECT_EQ(static_cast<std::size_t>(
                  std::distance(fs::directory_iterator(moving.to), fs::directory_iterator())),
              plan->layout.count());
    fs::remove(joined());
    ASSERT_OK(join(paths(plan->layout.count())));
    expect_joined();
  }
  EXPECT_GT(kills, 3U);
}

TEST_F(PartSetTest, APartThatWasMovedAndLostIsNamed) {
  const auto parts = split();
  fs::remove(parts.back());
  fs::resize_file(file(), fs::file_size(file()) - 5000);  // as a move leaves it
  auto moving = options();
  moving.move = true;
  const auto plan = sets::split(moving, keys(), nullptr);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind, ErrorKind::not_found);
  EXPECT_THAT(plan.error().what, HasSubstr("part " + std::to_string(parts.size())));
  EXPECT_TRUE(fs::exists(file()));
}

class LargePartsTest : public PartSetTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    write(folder() / "app/data/more", noise(14'000'000, 4));
    create(file());
    whole_ = *digest_file(file());
    part_size_ = 9'000'000;
  }
};

TEST_F(LargePartsTest, AJoinThatWasKilledAnywhereGoesOn) {
  const auto parts = split();
  const auto total = fs::file_size(file());
  std::size_t kills = 0;
  for (std::uint64_t after = 1; after < total; after += total / 6) {
    fs::remove(joined());
    if (killed_after(after,
                     [&](Progress* progress) { return join(parts, progress).has_value(); })) {
      ++kills;
    }
    EXPECT_FALSE(fs::exists(joined()));
    ASSERT_OK(join(parts));
    expect_joined();
  }
  EXPECT_GT(kills, 3U);
}

// After a power cut the state may promise what the disk does not hold.
TEST_F(LargePartsTest, WhatAPowerCutLostIsCopiedAgain) {
  const auto parts = split();
  ASSERT_TRUE(killed_after(5'000'000,
                           [&](Progress* progress) { return join(parts, progress).has_value(); }));
  flip(partial(), 1'000'000);
  ASSERT_OK(join(parts));
  expect_joined();
}

}  // namespace
}  // namespace bedplate::bundle_test

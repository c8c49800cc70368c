#include "core/space.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"

namespace bedplate {
namespace {

using ::testing::HasSubstr;

/// "/a…" and "/b…" are two file systems; the second one is FAT.
Result<FileSystem> two_disks(const std::filesystem::path& folder) {
  if (folder.string().starts_with("/a")) return FileSystem{1, 1000, ~std::uint64_t{0}};
  return FileSystem{2, 500, 300};
}

TEST(Space, NeedsOfOneFileSystemAddUp) {
  const auto uses = measure_space(
      {{"/a/x", 400, 400, ""}, {"/b", 100, 100, ""}, {"/a/y", 600, 600, ""}}, two_disks);
  ASSERT_TRUE(uses);
  ASSERT_EQ(uses->size(), 2U);
  EXPECT_EQ((*uses)[0].needed, 1000U);
  EXPECT_EQ((*uses)[0].largest_file, 600U);
  EXPECT_EQ((*uses)[1].needed, 100U);
  EXPECT_TRUE(require_space(*uses));
}

TEST(Space, OneByteTooMuchIsRefusedWithThePlace) {
  const auto uses = measure_space({{"/a/x", 400, 0, ""}, {"/a/y", 601, 0, ""}}, two_disks);
  ASSERT_TRUE(uses);
  const auto enough = require_space(*uses);
  ASSERT_FALSE(enough);
  EXPECT_EQ(enough.error().kind, ErrorKind::io);
  EXPECT_THAT(enough.error().what, HasSubstr("/a/x"));
  EXPECT_THAT(space_text(*uses), HasSubstr("not enough"));
}

TEST(Space, AFileLongerThanTheFileSystemKnowsIsRefusedAlthoughItIsFree) {
  const auto uses = measure_space({{"/b", 400, 301, ""}}, two_disks);
  ASSERT_TRUE(uses);
  const auto enough = require_space(*uses);
  ASSERT_FALSE(enough);
  EXPECT_EQ(enough.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(enough.error().hint, HasSubstr("fat32"));
}

TEST(Space, AFolderThatDoesNotExistYetIsWhereItsParentIs) {
  const auto folder = TemporaryDirectory::create("bedplate-space");
  ASSERT_TRUE(folder);
  const auto here = probe_file_system(folder->path());
  const auto below = probe_file_system(folder->path() / "not/yet");
  ASSERT_TRUE(here && below);
  EXPECT_EQ(here->id, below->id);
  EXPECT_GT(below->free, 0U);
}

}  // namespace
}  // namespace bedplate

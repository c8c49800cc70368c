#include "imagebuild/key.hpp"

#include <fstream>

#include <gtest/gtest.h>

#include "core/file.hpp"
#include "imagebuild/base.hpp"

namespace bedplate::image {
namespace {

namespace fs = std::filesystem;

std::string key_of(std::initializer_list<std::pair<std::string_view, std::string_view>> parts) {
  KeyBuilder key("test 1");
  for (const auto& [name, value] : parts) key.add(name, value);
  return key.finish();
}

TEST(Key, DependsOnEveryPartAndItsPlace) {
  const auto key = key_of({{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(key.size(), 32U);
  EXPECT_EQ(key, key_of({{"a", "1"}, {"b", "2"}}));
  EXPECT_NE(key, key_of({{"b", "2"}, {"a", "1"}}));
  EXPECT_NE(key, key_of({{"a", "1b"}, {"", "2"}}));
  EXPECT_NE(key_of({{"a", "12"}}), key_of({{"a", "1"}, {"a", "2"}}));
}

TEST(Key, BaseFollowsPackagesSuiteAndMirror) {
  const auto spec = default_base_spec();
  ASSERT_TRUE(spec);
  const auto key = base_key(*spec);
  EXPECT_EQ(key, base_key(*default_base_spec()));
  auto other = *spec;
  other.packages.push_back("less");
  EXPECT_NE(key, base_key(other));
  other = *spec;
  other.suite = "forky";
  EXPECT_NE(key, base_key(other));
  other = *spec;
  other.mirror = "http://mirror.example/debian";
  EXPECT_NE(key, base_key(other));
}

class Cache : public testing::Test {
 protected:
  TemporaryDirectory scratch_ = *TemporaryDirectory::create("cache-test");
  int made_ = 0;
  CacheActions actions_{[this](const fs::path& folder) -> Result<void> {
                          ++made_;
                          std::ofstream(folder / "file") << "x";
                          return {};
                        },
                        [](const fs::path& folder) { return remove_tree(folder); }};
};

TEST_F(Cache, MakesAnEntryOnce) {
  const auto first = cached(scratch_.path(), "k", actions_);
  ASSERT_TRUE(first);
  EXPECT_TRUE(fs::exists(*first / "file"));
  const auto second = cached(scratch_.path(), "k", actions_);
  ASSERT_TRUE(second);
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(made_, 1);
}

TEST_F(Cache, LeavesNothingAfterAFailure) {
  actions_.make = [](const fs::path& folder) -> Result<void> {
    std::ofstream(folder / "half") << "x";
    return fail(ErrorKind::io, "no");
  };
  const auto failed = cached(scratch_.path(), "k", actions_);
  ASSERT_FALSE(failed);
  for (const auto& entry : fs::directory_iterator(scratch_.path())) {
    EXPECT_FALSE(entry.is_directory()) << entry.path();
  }
}

TEST_F(Cache, RemovesWhatAKilledBuildLeft) {
  // The greatest pid there can be is 2^22; this process never was.
  const auto left = scratch_.path() / "other.tmp.4194399";
  fs::create_directory(left);
  ASSERT_TRUE(cached(scratch_.path(), "k", actions_));
  EXPECT_FALSE(fs::exists(left));
}

TEST_F(Cache, PrunesTheOldest) {
  for (const auto* key : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(cached(scratch_.path(), key, actions_));
    fs::last_write_time(scratch_.path() / key,
                        fs::file_time_type::clock::now() - std::chrono::hours(10 - key[0] % 5));
  }
  ASSERT_TRUE(prune(scratch_.path(), 2, "a", actions_));
  int left = 0;
  for (const auto& entry : fs::directory_iterator(scratch_.path())) left += entry.is_directory();
  EXPECT_EQ(left, 2);
  EXPECT_TRUE(fs::exists(scratch_.path() / "a"));
}

}  // namespace
}  // namespace bedplate::image

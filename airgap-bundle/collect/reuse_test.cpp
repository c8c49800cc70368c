#include "airgap-bundle/collect/reuse.hpp"

#include <cstdlib>

#include <fcntl.h>

#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/tests/fixture.hpp"

namespace bedplate::bundle_test {
namespace {

using collect::Reuse;

std::string content_of(const Reuse::Found& found, std::uint64_t size) {
  std::string out;
  EXPECT_TRUE(collect::feed_range(found.fd, found.offset, size, [&](auto data) -> Result<void> {
    out.append(reinterpret_cast<const char*>(data.data()), data.size());
    return {};
  }));
  return out;
}

class ReuseTest : public BundleTest {
 protected:
  fs::path cache() const { return folder() / "cache"; }
  /// A file of the cache that was used so many hours ago.
  void put(const std::string& name, std::size_t size, int hours) const {
    write(cache() / name, std::string(size, 'x'));
    fs::last_write_time(cache() / name,
                        fs::file_time_type::clock::now() - std::chrono::hours(hours));
  }
  static std::string name_of(char digit) { return std::string(64, digit); }
};

TEST_F(ReuseTest, FindsTheBlobsOfABundleOfTheSameKey) {
  create(file());
  Reuse reuse;
  reuse.add_bundle(file(), key_.public_key());
  const auto reader = open(file());
  ASSERT_OK(reader);
  for (const auto& entry : reader->header().entries) {
    const auto found = reuse.find(entry.digest, entry.size);
    ASSERT_TRUE(found) << entry.path;
    EXPECT_EQ(Digest::of(content_of(*found, entry.size)), entry.digest);
    EXPECT_FALSE(found->passing);
    EXPECT_FALSE(reuse.find(entry.digest, entry.size + 1)) << "another size is another blob";
  }
  EXPECT_FALSE(reuse.find(Digest::of(std::string_view("nothing")), 7));
}

TEST_F(ReuseTest, PassesOverWhatIsNoBundleOfTheKey) {
  create(file());
  Reuse reuse;
  reuse.add_bundle(file(), PrivateKey::generate().public_key());
  reuse.add_bundle(folder() / "missing", key_.public_key());
  write(folder() / "text", "not a bundle");
  reuse.add_bundle(folder() / "text", key_.public_key());
  const auto reader = open(file());
  ASSERT_OK(reader);
  const auto& entry = reader->header().entries.front();
  EXPECT_FALSE(reuse.find(entry.digest, entry.size));
}

TEST_F(ReuseTest, KeepsABlobInTheCache) {
  const auto blob = noise(300'000, 3);
  write(folder() / "source", "before" + blob + "after");
  const auto source = open_file(folder() / "source", O_RDONLY);
  ASSERT_OK(source);
  Reuse reuse;
  reuse.keep(Digest::of(blob), blob.size(), source->get(), 6);
  EXPECT_FALSE(reuse.find(Digest::of(blob), blob.size())) << "there is no cache yet";
  reuse.set_cache(cache() / "made");
  reuse.keep(Digest::of(blob), blob.size(), source->get(), 6);
  const auto found = reuse.find(Digest::of(blob), blob.size());
  ASSERT_TRUE(found);
  EXPECT_EQ(content_of(*found, blob.size()), blob);
  EXPECT_FALSE(reuse.find(Digest::of(blob), blob.size() - 1));
}

TEST_F(ReuseTest, TheCacheMayBeOnAnotherFileSystem) {
  std::string name = "/dev/shm/bedplate-cache-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) GTEST_SKIP() << "needs /dev/shm";
  const auto blob = noise(300'000, 4);
  write(folder() / "source", blob);
  const auto source = open_file(folder() / "source", O_RDONLY);
  ASSERT_OK(source);
  Reuse reuse;
  reuse.set_cache(name);
  reuse.keep(Digest::of(blob), blob.size(), source->get(), 0);
  const auto found = reuse.find(Digest::of(blob), blob.size());
  EXPECT_TRUE(found);
  if (found) {
    EXPECT_EQ(content_of(*found, blob.size()), blob);
  }
  ASSERT_OK(remove_tree(name));
}

TEST_F(ReuseTest, ACacheThatCannotBeWrittenFailsNothing) {
  write(folder() / "cache", "a file where the folder would be");
  Reuse reuse;
  reuse.set_cache(cache());
  const auto source = open_file(folder() / "cache", O_RDONLY);
  ASSERT_OK(source);
  reuse.keep(Digest::of(std::string_view("a")), 1, source->get(), 0);
  EXPECT_FALSE(reuse.find(Digest::of(std::string_view("a")), 1));
}

TEST_F(ReuseTest, AMissingCacheIsEmpty) {
  const auto done = collect::collect_garbage(cache(), 0);
  ASSERT_OK(done);
  EXPECT_EQ(done->removed_files, 0U);
  EXPECT_FALSE(fs::exists(cache()));
}

TEST_F(ReuseTest, WhatWasNotUsedForLongestGoesFirst) {
  put(name_of('1'), 100, 3);
  put(name_of('2'), 100, 2);
  put(name_of('3'), 100, 1);
  const auto all = collect::collect_garbage(cache(), 300);
  ASSERT_OK(all);
  EXPECT_EQ(all->removed_files, 0U);
  EXPECT_EQ(all->kept, 300U);
  const auto some = collect::collect_garbage(cache(), 299);
  ASSERT_OK(some);
  EXPECT_EQ(some->removed, 100U);
  EXPECT_EQ(some->kept, 200U);
  EXPECT_FALSE(fs::exists(cache() / name_of('1')));
  // Finding one counts as using it.
  Reuse reuse;
  reuse.set_cache(cache());
  ASSERT_TRUE(reuse.find(*Digest::parse("sha256:" + name_of('2')), 100));
  ASSERT_OK(collect::collect_garbage(cache(), 100));
  EXPECT_TRUE(fs::exists(cache() / name_of('2')));
  EXPECT_FALSE(fs::exists(cache() / name_of('3')));
  ASSERT_OK(collect::collect_garbage(cache(), 0));
  EXPECT_TRUE(fs::is_empty(cache()));
}

TEST_F(ReuseTest, OnlyWhatAKilledRunLeftGoesWhateverTheRoom) {
  put(name_of('1') + ".tmp.77", 100, 2);
  put(name_of('2') + ".tmp.78", 100, 0);
  put(name_of('3'), 100, 50);
  ASSERT_OK(collect::collect_garbage(cache(), 1 << 20));
  EXPECT_FALSE(fs::exists(cache() / (name_of('1') + ".tmp.77")));
  EXPECT_TRUE(fs::exists(cache() / (name_of('2') + ".tmp.78"))) << "somebody may be writing it";
  EXPECT_TRUE(fs::exists(cache() / name_of('3')));
}

TEST_F(ReuseTest, DownloadsThatBrokeOffCountAsBlobsDo) {
  const auto url = [](char digit) { return "url-" + std::string(32, digit); };
  put(url('1') + ".part", 100, 9);
  put(url('1') + ".state", 10, 9);
  put(url('1') + ".lock", 0, 9000);
  put(url('2') + ".part", 100, 8);
  put(url('2') + ".state", 10, 9000);
  put(name_of('3'), 100, 1);
  const auto held = FileLock::acquire(cache() / (url('2') + ".lock"), false);
  ASSERT_OK(held);
  const auto all = collect::collect_garbage(cache(), 200);
  ASSERT_OK(all);
  EXPECT_EQ(all->kept, 200U) << "one that goes on does not count, and is not touched";
  EXPECT_FALSE(fs::exists(cache() / (url('2') + ".state"))) << "of a year ago";
  ASSERT_OK(collect::collect_garbage(cache(), 150));
  EXPECT_FALSE(fs::exists(cache() / (url('1') + ".part")));
  EXPECT_TRUE(fs::exists(cache() / (url('1') + ".state")));
  EXPECT_TRUE(fs::exists(cache() / name_of('3')));
  ASSERT_OK(collect::collect_garbage(cache(), 0));
  EXPECT_TRUE(fs::exists(cache() / (url('2') + ".part"))) << "a process is at it";
  EXPECT_FALSE(fs::exists(cache() / name_of('3')));
}

TEST_F(ReuseTest, WhatIsNoBlobIsNobodysGarbage) {
  put("url-1.part", 100, 9000);
  put("thesis.txt", 100, 9000);
  put(name_of('g'), 100, 9000);
  put("old.tmp.1", 100, 9000);
  ASSERT_OK(collect::collect_garbage(cache(), 0));
  EXPECT_TRUE(fs::exists(cache() / "thesis.txt"));
  EXPECT_TRUE(fs::exists(cache() / name_of('g')));
  EXPECT_TRUE(fs::exists(cache() / "old.tmp.1"));
}

}  // namespace
}  // namespace bedplate::bundle_test

#include "qemu-tests/lab/disk.hpp"

#include <array>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::lab {
namespace {

constexpr std::uint64_t size = 8U << 20;

class DiskDigest : public testing::Test {
 protected:
  void write_at(off_t offset, std::string_view text) {
    const auto fd = *open_file(disk, O_WRONLY);
    ASSERT_EQ(::pwrite(fd.get(), text.data(), text.size(), offset),
              static_cast<ssize_t>(text.size()));
  }
  std::string digest() { return digest_of_data(disk).value().str(); }

  TemporaryDirectory folder = *TemporaryDirectory::create("bedplate-disk");
  std::filesystem::path disk = folder.path() / "disk.img";
};

TEST_F(DiskDigest, ChangesWithOneByteWhereverItIs) {
  ASSERT_TRUE(make_disk(disk, size));
  write_at(1 << 20, "someone's data");
  const auto before = digest();
  write_at(5 << 20, "x");
  const auto elsewhere = digest();
  EXPECT_NE(elsewhere, before);
  write_at(5 << 20, std::string_view("\0", 1));
  EXPECT_EQ(digest(), before);
  write_at((1 << 20) + 3, "X");
  EXPECT_NE(digest(), before);
}

TEST_F(DiskDigest, IsOfTheContentAndNotOfHowItIsStored) {
  ASSERT_TRUE(make_disk(disk, size));
  write_at(1 << 20, "someone's data");
  const auto before = digest();
  write_at(2 << 20, std::string(1 << 20, '\0'));
  EXPECT_EQ(digest(), before) << "zeros that were written";
  ASSERT_EQ(::fsync(open_file(disk, O_WRONLY)->get()), 0);
  EXPECT_EQ(digest(), before) << "after the file system settled where things are";
}

TEST_F(DiskDigest, TellsTheSameDataAtAnotherPlace) {
  ASSERT_TRUE(make_disk(disk, size));
  write_at(1 << 20, "someone's data");
  const auto before = digest();
  ASSERT_TRUE(make_disk(disk, size));
  write_at(2 << 20, "someone's data");
  EXPECT_NE(digest(), before);
}

}  // namespace
}  // namespace bedplate::lab

#include "core/file.hpp"

#include <random>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bedplate {
namespace {

class FileTest : public testing::Test {
 protected:
  std::filesystem::path path(std::string_view name) const { return folder_.path() / name; }
  TemporaryDirectory folder_ = *TemporaryDirectory::create("bedplate-file-test");
};

TEST_F(FileTest, WritesAndReadsBack) {
  ASSERT_TRUE(write_file_atomic(path("a"), "hello"));
  EXPECT_EQ(read_file(path("a")).value(), "hello");
  ASSERT_TRUE(write_file_atomic(path("a"), "again"));
  EXPECT_EQ(read_file(path("a")).value(), "again");
}

TEST_F(FileTest, SecretIsNeverReadableByOthersWhateverTheUmask) {
  const auto old = ::umask(0);
  ASSERT_TRUE(write_file_atomic(path("secret"), "x", 0600));
  ::umask(old);
  struct stat info{};
  ASSERT_EQ(::stat(path("secret").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(FileTest, MissingFileSaysWhich) {
  const auto result = read_file(path("absent"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::not_found);
  EXPECT_NE(result.error().what.find("absent"), std::string::npos);
}

TEST_F(FileTest, RefusesMoreThanTheLimit) {
  ASSERT_TRUE(write_file_atomic(path("big"), std::string(1000, 'x')));
  EXPECT_EQ(read_file(path("big"), 999).error().kind, ErrorKind::invalid);
  EXPECT_TRUE(read_file(path("big"), 1000));
}

TEST_F(FileTest, DroppedAtomicFileLeavesNothing) {
  {
    auto file = AtomicFile::create(path("b"));
    ASSERT_TRUE(file);
    ASSERT_TRUE(write_all(file->fd(), as_byte_span("half")));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(FileTest, ShortFileIsCorrupt) {
  ASSERT_TRUE(write_file_atomic(path("short"), "abc"));
  auto fd = open_file(path("short"), O_RDONLY);
  std::array<std::byte, 8> buffer{};
  EXPECT_EQ(read_exactly_at(fd->get(), buffer, 0).error().kind, ErrorKind::corrupt);
}

TEST_F(FileTest, LockIsExclusiveAndEndsWithItsHolder) {
  {
    auto first = FileLock::acquire(path("lock"), false);
    ASSERT_TRUE(first);
    EXPECT_EQ(FileLock::acquire(path("lock"), false).error().kind, ErrorKind::conflict);
  }
  EXPECT_TRUE(FileLock::acquire(path("lock"), false));
}

TEST_F(FileTest, MakesFoldersTwice) {
  ASSERT_TRUE(make_directories(path("x/y/z")));
  ASSERT_TRUE(make_directories(path("x/y/z")));
  ASSERT_TRUE(write_file_atomic(path("x/f"), ""));
  EXPECT_FALSE(make_directories(path("x/f/g")));
}

// A writer killed at a random instant leaves the old content or the new, never a mixture.
TEST_F(FileTest, KilledWriterLeavesOldOrNewContent) {
  const std::string old_content(200'000, 'o');
  const std::string new_content(200'000, 'n');
  for (unsigned seed = 1; seed <= 20; ++seed) {
    ASSERT_TRUE(write_file_atomic(path("f"), old_content));
    const pid_t child = ::fork();
    if (child == 0) {
      while (true) {
        if (!write_file_atomic(path("f"), new_content)) ::_exit(1);
        if (!write_file_atomic(path("f"), old_content)) ::_exit(1);
      }
    }
    std::minstd_rand random(seed);
    ::usleep(static_cast<useconds_t>(random() % 5000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto found = read_file(path("f")).value();
    EXPECT_TRUE(found == old_content || found == new_content) << "seed " << seed;
  }
}

TEST_F(FileTest, WhatTheDeadLeftIsRemovedAndNothingElse) {
  const auto mine = "f.tmp." + std::to_string(::getpid());
  // The kernel gives no number as large as this one.
  // Ours comes last: writing "f" goes through a file of that name.
  for (const auto& name :
       {std::string("f"), std::string("f.tmp.1999999999"), std::string("f.tmp.1999999999.0"),
        std::string("f.tmp."), std::string("f.tmp.x"), std::string("g.tmp.1999999999"), mine}) {
    ASSERT_TRUE(write_file_atomic(path(name), "x"));
  }
  ASSERT_TRUE(remove_abandoned(path("f").parent_path(), "f.tmp."));
  EXPECT_FALSE(std::filesystem::exists(path("f.tmp.1999999999")));
  EXPECT_FALSE(std::filesystem::exists(path("f.tmp.1999999999.0")));
  for (const auto& name : {std::string("f.tmp."), std::string("f.tmp.x"), mine, std::string("f"),
                           std::string("g.tmp.1999999999")}) {
    EXPECT_TRUE(std::filesystem::exists(path(name))) << name;
  }
  EXPECT_TRUE(remove_abandoned(path("none"), "f.tmp."));
}

}  // namespace
}  // namespace bedplate

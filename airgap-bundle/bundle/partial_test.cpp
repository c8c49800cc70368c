#include "airgap-bundle/bundle/partial.hpp"

#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

#include "airgap-bundle/tests/fixture.hpp"

namespace bedplate::bundle_test {
namespace {

using bundle::PartialFile;
using bundle::Placed;

class PartialTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-partial");
    ASSERT_OK(made);
    folder_.emplace(std::move(*made));
  }

  static Placed blob(const std::string& content, std::uint64_t offset) {
    return {Digest::of(content), content.size(), offset};
  }
  fs::path path() const { return folder_->path() / "site.bundle"; }
  fs::path with(const char* suffix) const { return path().string() + suffix; }
  bool nothing_left() const {
    return !fs::exists(with(".partial")) && !fs::exists(with(".partial.state")) &&
           !fs::exists(with(".partial.old")) && !fs::exists(with(".partial.old.state"));
  }
  /// A run that wrote so much of each blob and was then dropped.
  void leave(const std::vector<Placed>& blobs, const std::vector<std::string>& contents) const {
    auto file = PartialFile::open(path(), blobs);
    ASSERT_OK(file);
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      ASSERT_OK(write_all_at(file->fd(), as_byte_span(contents[i]), blobs[i].offset));
      file->set_written(i, contents[i].size());
    }
  }

  std::optional<TemporaryDirectory> folder_;
  const std::string first_ = std::string(3000, 'a');
  const std::string second_ = std::string(700, 'b');
  const std::vector<Placed> blobs_{blob(first_, 1024), blob(second_, 5120)};
};

TEST_F(PartialTest, TheNextOneGoesOn) {
  leave(blobs_, {first_.substr(0, 1000), second_});
  auto again = PartialFile::open(path(), blobs_);
  ASSERT_OK(again);
  EXPECT_EQ(again->written(0), 1000U);
  EXPECT_EQ(again->written(1), second_.size());
  EXPECT_EQ(again->total_written(), 1000U + second_.size());
  EXPECT_FALSE(PartialFile::leftover(path()).fd);
}

TEST_F(PartialTest, AKilledProcessLeavesWhatItWrote) {
  const auto child = ::fork();
  if (child == 0) {
    auto file = PartialFile::open(path(), blobs_);
    if (!file || !write_all_at(file->fd(), as_byte_span(second_), blobs_[1].offset)) ::_exit(1);
    file->set_written(1, second_.size());
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  auto again = PartialFile::open(path(), blobs_);
  ASSERT_OK(again);
  EXPECT_EQ(again->written(0), 0U);
  EXPECT_EQ(again->written(1), second_.size());
}

TEST_F(PartialTest, WhatIsWorthNothingIsRemoved) {
  {
    ASSERT_OK(PartialFile::open(path(), blobs_));
  }
  EXPECT_TRUE(nothing_left());
}

TEST_F(PartialTest, CommitGivesTheNameAndForgetsTheRest) {
  leave({blob(first_, 512)}, {first_});  // another layout, to be kept aside
  auto file = PartialFile::open(path(), blobs_);
  ASSERT_OK(file);
  file->set_written(0, 1);
  ASSERT_OK(write_all_at(file->fd(), as_byte_span("bundle"), 0));
  EXPECT_FALSE(fs::exists(path()));
  ASSERT_OK(file->commit());
  EXPECT_EQ(*read_file(path()), "bundle");
  EXPECT_TRUE(nothing_left());
}

TEST_F(PartialTest, OfAnotherLayoutWholeBlobsAreKeptAside) {
  leave({blob(first_, 512), blob(second_, 8192)}, {first_, second_.substr(0, 5)});
  auto file = PartialFile::open(path(), blobs_);
  ASSERT_OK(file);
  EXPECT_EQ(file->total_written(), 0U);
  const auto left = PartialFile::leftover(path());
  ASSERT_TRUE(left.fd);
  ASSERT_EQ(left.blobs.size(), 1U);
  EXPECT_EQ(left.blobs[0].digest, Digest::of(first_));
  std::string content(first_.size(), '\0');
  ASSERT_OK(read_exactly_at(left.fd.get(), std::as_writable_bytes(std::span(content)),
                            left.blobs[0].offset));
  EXPECT_EQ(content, first_);
}

TEST_F(PartialTest, ATornStateBeginsAnew) {
  leave(blobs_, {first_, second_});
  const auto whole = *read_file(with(".partial.state"));
  for (const auto size : {std::size_t{0}, std::size_t{5}, std::size_t{100}, whole.size() - 1}) {
    write(with(".partial"), first_);
    write(with(".partial.state"), whole.substr(0, size));
    const auto file = PartialFile::open(path(), blobs_);
    ASSERT_OK(file);
    EXPECT_EQ(file->total_written(), 0U) << size;
    EXPECT_TRUE(PartialFile::leftover(path()).blobs.empty()) << size;
  }
}

TEST_F(PartialTest, NonsenseInTheStateIsNoLeftover) {
  for (const auto* state : {"", "BEDPLATE-PARTIAL1\n7\n", "BEDPLATE-PARTIAL1\n[{}]\n",
                            "BEDPLATE-PARTIAL1\n[[[", "BEDPLATE-PARTIAL1"}) {
    write(with(".partial.old"), first_);
    write(with(".partial.old.state"), state);
    EXPECT_TRUE(PartialFile::leftover(path()).blobs.empty()) << state;
  }
}

TEST_F(PartialTest, AStateThatPromisesMoreThanTheDiskHoldsIsNotBelieved) {
  leave(blobs_, {first_, second_});
  fs::resize_file(with(".partial"), blobs_[0].offset + 10);
  const auto file = PartialFile::open(path(), blobs_);
  ASSERT_OK(file);
  EXPECT_EQ(file->written(0), 10U);
  EXPECT_EQ(file->written(1), 0U);
}

TEST_F(PartialTest, AStateWithoutItsFilePromisesNothing) {
  leave(blobs_, {first_, second_});
  fs::remove(with(".partial"));  // it got its final name, and then the process was killed
  const auto file = PartialFile::open(path(), blobs_);
  ASSERT_OK(file);
  EXPECT_EQ(file->total_written(), 0U);
}

TEST_F(PartialTest, NumbersBeyondTheBlobAreNotBelieved) {
  leave(blobs_, {first_, second_});
  auto state = *read_file(with(".partial.state"));
  state.replace(state.size() - 16, 16, std::string(16, '\xff'));
  write(with(".partial.state"), state);
  const auto file = PartialFile::open(path(), blobs_);
  ASSERT_OK(file);
  EXPECT_EQ(file->written(0), first_.size());
  EXPECT_EQ(file->written(1), second_.size());
}

TEST_F(PartialTest, OneAtATime) {
  auto one = PartialFile::open(path(), blobs_);
  ASSERT_OK(one);
  one->set_written(0, 1);
  const auto two = PartialFile::open(path(), blobs_);
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().kind, ErrorKind::conflict);
  EXPECT_FALSE(two.error().hint.empty());
  EXPECT_TRUE(fs::exists(with(".partial"))) << "the other one still needs it";
}

}  // namespace
}  // namespace bedplate::bundle_test

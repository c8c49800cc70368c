#include "airgap-bundle/bundle/writer.hpp"

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/tests/fixture.hpp"

namespace bedplate::bundle_test {
namespace {

using bundle::Writer;

class WriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-writer");
    ASSERT_OK(made);
    folder_.emplace(std::move(*made));
  }

  Result<Writer> create(const fs::path& path) const {
    const std::vector<bundle::Descriptor> known{{Digest::of(large_), large_.size()},
                                                {Digest::of(small_), small_.size()},
                                                {Digest::of(large_), large_.size()}};
    return Writer::create(path, 8, 0, known);
  }
  /// Gives `content` from where it is asked, up to `end`, and remembers where that was.
  Writer::FillFrom from(const std::string& content, std::size_t end = std::string::npos) {
    return [this, &content, end](std::uint64_t start, const Writer::Sink& sink) -> Result<void> {
      asked_.push_back(start);
      const auto stop = std::min(end, content.size());
      for (auto at = static_cast<std::size_t>(start); at < stop; at += 10'000) {
        BP_CHECK(sink(as_byte_span(content).subspan(at, std::min<std::size_t>(10'000, stop - at))));
      }
      if (stop < content.size()) return fail(ErrorKind::network, "cut");
      return {};
    };
  }
  Result<void> finish(Writer& writer) const {
    return writer.finish("{}", "name", "1", WallTime(std::chrono::seconds(1)), key_);
  }
  /// An interrupted run: so much of the large blob, all of the small one.
  void interrupt(std::size_t bytes) {
    auto writer = create(path());
    ASSERT_OK(writer);
    EXPECT_EQ(writer->complete(0, from(large_, bytes)).error().kind, ErrorKind::network);
    ASSERT_OK(writer->complete(1, from(small_)));
    asked_.clear();
  }
  void complete_and_compare() {
    auto writer = create(path());
    ASSERT_OK(writer);
    ASSERT_OK(writer->complete(0, from(large_)));
    ASSERT_OK(writer->complete(1, from(small_)));
    ASSERT_OK(finish(*writer));
    const auto whole = folder_->path() / "whole.bundle";
    auto other = create(whole);
    ASSERT_OK(other);
    const auto asked = asked_;
    ASSERT_OK(other->complete(1, from(small_)));
    ASSERT_OK(other->complete(0, from(large_)));
    ASSERT_OK(finish(*other));
    asked_ = asked;
    EXPECT_EQ(Digest::of(*read_file(path())), Digest::of(*read_file(whole)));
    const auto reader = bundle::Reader::open(path(), std::vector{key_.public_key()});
    ASSERT_OK(reader);
    ASSERT_OK(reader->verify(nullptr));
  }

  fs::path path() const { return folder_->path() / "site.bundle"; }
  fs::path partial() const { return path().string() + ".partial"; }

  std::optional<TemporaryDirectory> folder_;
  const PrivateKey key_ = PrivateKey::generate();
  const std::string large_ = noise(300'001, 7);
  const std::string small_ = "small";
  std::vector<std::uint64_t> asked_;
};

TEST_F(WriterTest, TheSameBlobTwiceIsLaidOutOnce) {
  const auto writer = create(path());
  ASSERT_OK(writer);
  EXPECT_EQ(writer->known_count(), 2U);
  EXPECT_EQ(writer->continued(), 0U);
}

TEST_F(WriterTest, GoesOnToTheByteAndEndsTheSame) {
  interrupt(123'456);
  EXPECT_FALSE(fs::exists(path()));
  complete_and_compare();
  EXPECT_EQ(asked_, std::vector<std::uint64_t>{123'456});
  EXPECT_FALSE(fs::exists(partial()));
}

TEST_F(WriterTest, SaysHowMuchIsThere) {
  interrupt(100'000);
  const auto writer = create(path());
  ASSERT_OK(writer);
  EXPECT_EQ(writer->continued(), 100'000 + small_.size());
}

TEST_F(WriterTest, WhatIsThereOfOtherBlobsIsNoRoomSaved) {
  interrupt(100'000);
  const std::vector<bundle::Descriptor> known{{Digest::of(large_), large_.size()},
                                              {Digest::of(small_), small_.size()}};
  EXPECT_GE(Writer::bytes_here(path(), 8, 0, known, {}), 100'000U);
  EXPECT_EQ(Writer::bytes_here(path(), 8, 0, std::span(known).first(1), {}), 0U);
  EXPECT_EQ(Writer::bytes_here(path(), 80, 0, known, {}), 0U) << "the header takes more room";
  EXPECT_EQ(Writer::bytes_here(folder_->path() / "other", 8, 0, known, {}), 0U);
  EXPECT_TRUE(fs::exists(partial()));
}

TEST_F(WriterTest, ADamagedBeginningIsFetchedAgain) {
  interrupt(100'000);
  {
    const auto writer = create(path());
    ASSERT_OK(writer);
    flip(partial(), writer->known(0).offset + 50);
  }
  complete_and_compare();
  EXPECT_EQ(asked_, (std::vector<std::uint64_t>{100'000, 0}));
}

TEST_F(WriterTest, WhatIsThereWholeButDamagedIsFetchedOnce) {
  {
    auto writer = create(path());
    ASSERT_OK(writer);
    ASSERT_OK(writer->complete(0, from(large_)));
    flip(partial(), writer->known(0).offset + 50);
  }
  asked_.clear();
  complete_and_compare();
  EXPECT_EQ(asked_, (std::vector<std::uint64_t>{0, 0}));  // the large one, and the small one
}

TEST_F(WriterTest, AFileThatLostItsEndIsContinuedWhereItEnds) {
  interrupt(200'000);
  std::uint64_t offset = 0;
  {
    const auto writer = create(path());
    ASSERT_OK(writer);
    offset = writer->known(0).offset;
  }
  fs::resize_file(partial(), offset + 70'000);
  complete_and_compare();
  EXPECT_EQ(asked_, (std::vector<std::uint64_t>{70'000, 0}));
}

TEST_F(WriterTest, OtherBytesAreCorruptAndCountAsNothing) {
  auto other = large_;
  other[5] ^= 1;
  {
    auto writer = create(path());
    ASSERT_OK(writer);
    const auto done = writer->complete(0, from(other));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::corrupt);
  }
  EXPECT_FALSE(fs::exists(partial()));
  complete_and_compare();
}

TEST_F(WriterTest, LongerAndShorterAreCorrupt) {
  auto writer = create(path());
  ASSERT_OK(writer);
  const auto longer = large_ + "x";
  EXPECT_EQ(writer->complete(0, from(longer)).error().kind, ErrorKind::corrupt);
  const auto shorter = small_.substr(1);
  EXPECT_EQ(writer->complete(1, from(shorter)).error().kind, ErrorKind::corrupt);
}

TEST_F(WriterTest, NothingIsSeenBeforeEverythingIsThere) {
  auto writer = create(path());
  ASSERT_OK(writer);
  ASSERT_OK(writer->complete(1, from(small_)));
  const auto done = finish(*writer);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::internal);
  EXPECT_FALSE(fs::exists(path()));
}

TEST_F(WriterTest, MoreThanAHeaderHoldsIsRefusedBeforeAnythingIsWritten) {
  const auto writer = bundle::Writer::create(path(), 300'000);
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().kind, ErrorKind::unsupported);
  EXPECT_FALSE(fs::exists(partial()));
  EXPECT_TRUE(bundle::Writer::create(path(), 200'000));
}

TEST_F(WriterTest, OneAtATime) {
  const auto one = create(path());
  ASSERT_OK(one);
  EXPECT_EQ(create(path()).error().kind, ErrorKind::conflict);
}

}  // namespace
}  // namespace bedplate::bundle_test

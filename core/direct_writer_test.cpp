#include "core/direct_writer.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace bedplate {
namespace {

std::string random_text(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(size, '\0');
  for (auto& c : out) c = static_cast<char>(random());
  return out;
}

class DirectWriterTest : public testing::Test {
 protected:
  /// Writes `content` at `offset` in pieces of `step` bytes.
  static void put(int fd, int direct, std::uint64_t offset, const std::string& content,
                  std::size_t step) {
    DirectWriter writer(fd, direct, offset);
    for (std::size_t at = 0; at < content.size(); at += step) {
      ASSERT_TRUE(writer.write(as_byte_span(std::string_view(content).substr(at, step))));
      EXPECT_LE(writer.written(), offset + at + step);
    }
    ASSERT_TRUE(writer.flush());
    EXPECT_EQ(writer.written(), offset + content.size());
  }

  TemporaryDirectory folder_ = *TemporaryDirectory::create("bedplate-direct-test");
  std::filesystem::path path_ = folder_.path() / "file";
  UniqueFd fd_ = *open_file(path_, O_RDWR | O_CREAT);
  UniqueFd direct_ = open_direct(fd_.get());
};

TEST_F(DirectWriterTest, WritesWhatItIsGivenWhereverItBeginsAndInAnyPieces) {
  for (const std::uint64_t offset : {0U, 1U, 512U, 4095U, 4096U, 70'144U}) {
    for (const std::size_t size : {0U, 1U, 4096U, 65'536U, 1'048'576U, 3'333'333U}) {
      for (const std::size_t step : {1000U, 16'384U, 2'000'000U}) {
        ASSERT_EQ(::ftruncate(fd_.get(), 0), 0);
        const auto content = random_text(size, static_cast<unsigned>(size + step));
        put(fd_.get(), direct_.get(), offset, content, step);
        const auto expected = size == 0 ? "" : std::string(offset, '\0') + content;
        ASSERT_EQ(read_file(path_).value(), expected) << offset << " " << size << " " << step;
      }
    }
  }
}

TEST_F(DirectWriterTest, StretchesThatTouchAreWrittenByThreadsAtOnce) {
  constexpr std::size_t count = 4;
  constexpr std::size_t size = 2'500'000;
  std::string expected;
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < count; ++i) {
      const auto content = random_text(size, i);
      expected += content;
      threads.emplace_back(
          [this, i, content] { put(fd_.get(), direct_.get(), i * size, content, 16'384); });
    }
  }
  EXPECT_TRUE(read_file(path_).value() == expected);
}

TEST_F(DirectWriterTest, GoesThroughThePageCacheWhereThereIsNoOtherWay) {
  const auto content = random_text(3'000'000, 1);
  put(fd_.get(), -1, 512, content, 16'384);
  EXPECT_TRUE(read_file(path_).value() == std::string(512, '\0') + content);
}

TEST_F(DirectWriterTest, GoesThroughThePageCacheWhenTheFileSystemRefusesTheWrite) {
  // A descriptor that cannot be written to stands for one whose file system refuses.
  const auto refusing = open_file(path_, O_RDONLY);
  ASSERT_TRUE(refusing);
  const auto content = random_text(3'000'000, 2);
  put(fd_.get(), refusing->get(), 512, content, 16'384);
  EXPECT_TRUE(read_file(path_).value() == std::string(512, '\0') + content);
}

TEST_F(DirectWriterTest, SlowDataDoesNotWaitInMemory) {
  DirectWriter writer(fd_.get(), direct_.get(), 0);
  const auto piece = random_text(8192, 3);
  ASSERT_TRUE(writer.write(as_byte_span(piece)));
  std::this_thread::sleep_for(std::chrono::milliseconds(35));
  ASSERT_TRUE(writer.write(as_byte_span(piece)));
  EXPECT_EQ(writer.written(), 2 * piece.size());
}

TEST_F(DirectWriterTest, ManyAtATimeShareTheirMemory) {
  constexpr std::size_t count = 64;
  const auto piece = random_text(300'000, 5);
  {
    std::vector<std::unique_ptr<DirectWriter>> writers;
    std::size_t together = 0;
    for (std::size_t i = 0; i < count; ++i) {
      writers.push_back(std::make_unique<DirectWriter>(fd_.get(), direct_.get(), i * piece.size()));
      together += writers.back()->buffer_size();
    }
    EXPECT_EQ(writers.front()->buffer_size(), 2U << 20);
    EXPECT_LE(together, 32U << 20);
    for (auto& writer : writers) {
      ASSERT_TRUE(writer->write(as_byte_span(piece)));
      ASSERT_TRUE(writer->flush());
    }
  }
  std::string expected;
  for (std::size_t i = 0; i < count; ++i) expected += piece;
  EXPECT_TRUE(read_file(path_).value() == expected);
  EXPECT_EQ(DirectWriter(fd_.get(), direct_.get(), 0).buffer_size(), 2U << 20)
      << "what ended gives its memory back";
}

TEST_F(DirectWriterTest, AFullDiskIsAnError) {
  const auto full = open_file("/dev/full", O_WRONLY);
  ASSERT_TRUE(full);
  DirectWriter writer(full->get(), -1, 0);
  ASSERT_TRUE(writer.write(as_byte_span("x")));
  EXPECT_FALSE(writer.flush());
}

TEST_F(DirectWriterTest, LargeAlignedPiecesDoNotFillThePageCache) {
  if (!direct_) GTEST_SKIP() << "this file system has no direct writes";
  constexpr std::size_t size = 8U << 20;
  put(fd_.get(), direct_.get(), 512, random_text(size, 4), 16'384);
  void* const map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd_.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  std::vector<unsigned char> resident(size / 4096);
  ASSERT_EQ(::mincore(map, size, resident.data()), 0);
  ::munmap(map, size);
  EXPECT_LT(std::ranges::count_if(resident, [](auto page) { return (page & 1U) != 0; }), 16);
}

}  // namespace
}  // namespace bedplate

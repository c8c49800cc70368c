#include "qemu-tests/lab/switch.hpp"

#include <atomic>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::lab {
namespace {

/// A network card as QEMU plugs one in: frames with their length before them.
class Card {
 public:
  explicit Card(const std::filesystem::path& path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  void send(const std::string& to, const std::string& from, const std::string& body) {
    const auto frame = to + from + "\x88\xb5" + body;
    std::string message{'\0', '\0', '\0', static_cast<char>(frame.size())};
    message += frame;
    EXPECT_TRUE(write_all(fd_.get(), as_byte_span(message)));
  }

  /// Body of the next frame; empty when none comes in time.
  std::string receive(int milliseconds = 2000) {
    const auto length = take(4, milliseconds);
    if (length.size() < 4) return {};
    const auto frame = take(static_cast<unsigned char>(length[3]), milliseconds);
    return frame.substr(14);
  }

 private:
  std::string take(std::size_t size, int milliseconds) {
    std::string out;
    while (out.size() < size) {
      pollfd entry{fd_.get(), POLLIN, 0};
      if (::poll(&entry, 1, milliseconds) <= 0) return out;
      std::string part(size - out.size(), '\0');
      const auto n = ::read(fd_.get(), part.data(), part.size());
      if (n <= 0) return out;
      out.append(part, 0, static_cast<std::size_t>(n));
    }
    return out;
  }

  UniqueFd fd_;
};

const std::string kA("\x52\x54\x00\x00\x00\x01", 6);
const std::string kB("\x52\x54\x00\x00\x00\x02", 6);
const std::string kC("\x52\x54\x00\x00\x00\x03", 6);

class SwitchTest : public testing::Test {
 protected:
  void SetUp() override {
    Members members;
    members.macs = {*parse_mac("52:54:00:00:00:01"), *parse_mac("52:54:00:00:00:02"),
                    *parse_mac("52:54:00:00:00:03")};
    lab_.emplace(members);
    for (const auto* name : {"a", "b", "c"}) {
      ASSERT_TRUE(lab_->add_stream_port(name, folder_.path() / name));
    }
    runner_ =
        std::thread([this] { EXPECT_TRUE(lab_->run([this] { return stop_.load(); }, nullptr)); });
  }
  void TearDown() override { finish(); }
  SwitchStatistics finish() {
    stop_ = true;
    if (runner_.joinable()) runner_.join();
    return lab_->statistics();
  }

  TemporaryDirectory folder_ = TemporaryDirectory::create("switch").value();
  std::optional<Switch> lab_;
  std::atomic<bool> stop_{false};
  std::thread runner_;
};

TEST_F(SwitchTest, FloodsTheUnknownAndLearnsFromAnswers) {
  Card a(folder_.path() / "a");
  Card b(folder_.path() / "b");
  Card c(folder_.path() / "c");
  a.send(kB, kA, "hello");
  EXPECT_EQ(b.receive(), "hello");
  EXPECT_EQ(c.receive(), "hello");
  b.send(kA, kB, "answer");
  EXPECT_EQ(a.receive(), "answer");
  a.send(kB, kA, "again");
  EXPECT_EQ(b.receive(), "again");
  EXPECT_EQ(c.receive(100), "");
  EXPECT_EQ(finish().frames, 3U);
}

TEST_F(SwitchTest, AMachineThatComesBackIsFoundAgain) {
  Card b(folder_.path() / "b");
  {
    Card a(folder_.path() / "a");
    a.send(kB, kA, "before");
    EXPECT_EQ(b.receive(), "before");
  }
  Card again(folder_.path() / "a");
  again.send(kB, kA, "after");
  EXPECT_EQ(b.receive(), "after");
  b.send(kA, kB, "welcome");
  EXPECT_EQ(again.receive(), "welcome");
}

TEST_F(SwitchTest, FramesForStrangersAreCounted) {
  Card a(folder_.path() / "a");
  Card b(folder_.path() / "b");
  const std::string stranger("\x52\x54\x00\x00\x00\x77", 6);
  a.send(stranger, kA, "x");
  a.send(stranger, kA, "y");
  a.send(kB, kA, "z");
  while (b.receive() != "z") {
  }
  const auto seen = finish();
  EXPECT_EQ(seen.elsewhere, 2U);
  ASSERT_EQ(seen.elsewhere_kinds.size(), 1U);
  EXPECT_EQ(seen.elsewhere_kinds.begin()->second, 2U);
}

TEST(ForwardingTable, AStationThatMovesIsFoundAtItsNewPort) {
  ForwardingTable table;
  const Mac mac{2, 0, 0, 0, 0, 1};
  table.learn(mac, 1);
  table.learn(mac, 2);
  EXPECT_EQ(table.find(mac), 2U);
  table.forget(2);
  EXPECT_FALSE(table.find(mac));
}

}  // namespace
}  // namespace bedplate::lab

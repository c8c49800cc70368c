// Many clients, bad clients, TLS: what must not cost the others anything.

#include <algorithm>
#include <atomic>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/http_client.hpp"
#include "core/http_server.hpp"
#include "core/tls_fixture.hpp"
#include "core/wire_fixture.hpp"

namespace bedplate {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t file_size = 32ULL << 20;

/// Resident memory of this process, server and clients together, in bytes.
std::int64_t resident() {
  std::ifstream status("/proc/self/statm");
  std::int64_t total = 0;
  std::int64_t pages = 0;
  status >> total >> pages;
  return pages * ::sysconf(_SC_PAGESIZE);
}

class ServerLoadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-load");
    ASSERT_TRUE(made);
    folder_.emplace(std::move(*made));
    std::string text(file_size, 'f');
    for (std::size_t i = 0; i < text.size(); i += 4096) text[i] = static_cast<char>('a' + i % 23);
    digest_ = Digest::of(text);
    ASSERT_TRUE(write_file_atomic(folder_->path() / "f", text));
    file_ = *open_file(folder_->path() / "f", O_RDONLY);
  }

  void start(ServerOptions options = {}) {
    auto started = HttpServer::start(
        *Ipv4::parse("127.0.0.1"), 0, [this](const auto& request) { return answer(request); },
        std::move(options));
    ASSERT_TRUE(started) << started.error().render();
    server_ = std::move(*started);
  }

  ServerResponse answer(const ServerRequest& request) const {
    ServerResponse response;
    if (request.path == "/file") {
      response.file = file_.get();
      response.file_length = file_size;
    } else {
      response.body = "quick";
    }
    return response;
  }

  void expect_served() {
    Wire wire(server_->port());
    wire.send("GET /quick HTTP/1.1\r\n\r\n");
    EXPECT_THAT(wire.receive("quick"), HasSubstr("200 OK"));
  }

  Result<HttpResponse> ask(const std::string& scheme, const std::string& path,
                           const std::string& ca = "") {
    HttpRequest request;
    request.url = scheme + "://127.0.0.1:" + std::to_string(server_->port()) + path;
    request.tls.ca_pem = ca;
    return make_http_client()->send(request);
  }

  /// Asks again and again until `holds`, at most until the test's own timeout.
  template <class Condition>
  static void eventually(Condition holds) {
    while (!holds()) std::this_thread::yield();
  }

  std::optional<TemporaryDirectory> folder_;
  UniqueFd file_;
  Digest digest_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(ServerLoadTest, AThousandClientsOfAllKindsCostLittleMemoryAndHoldNobodyUp) {
  ASSERT_GE(raise_open_files(4096), 2300U) << "this machine does not allow enough open files";
  start();
  expect_served();
  const auto before = resident();
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 1000; ++i) {
    auto& wire = *wires.emplace_back(std::make_unique<Wire>(server_->port()));
    switch (i % 4) {
      case 0:  // never reads on
        wire.narrow(1);
        wire.send("GET /file HTTP/1.1\r\n\r\nGET /file HTTP/1.1\r\n\r\n");
        break;
      case 1:  // half a request
        wire.send("GET /half HTTP/1.1\r\nX: " + std::string(8000, 'x'));
        break;
      case 2:  // nothing at all
        break;
      default:  // more than is answered in one turn
        for (int n = 0; n < 40; ++n) wire.send("GET /quick HTTP/1.1\r\n\r\n");
    }
    if (i % 100 == 0) expect_served();
  }
  // A byte at a time: the rest of the answer waits in the file.
  for (int i = 0; i < 1000; i += 40) {
    EXPECT_EQ(wires[static_cast<std::size_t>(i)]->receive(std::size_t{1}), "H");
  }
  expect_served();
  EXPECT_EQ(server_->statistics().refused, 0U);
  EXPECT_LT(resident() - before, 48LL << 20);
}

TEST_F(ServerLoadTest, AbortedTransfersAreForgottenAndReported) {
  std::mutex mutex;
  std::vector<bool> complete;
  ServerOptions options;
  options.on_done = [&](const ServerRecord& record) {
    const std::lock_guard lock(mutex);
    if (record.target == "/file") complete.push_back(record.complete);
  };
  start(options);
  for (int i = 0; i < 50; ++i) {
    Wire wire(server_->port());
    wire.send("GET /file HTTP/1.1\r\n\r\n");
    EXPECT_EQ(wire.receive(std::size_t{100}).size(), 100U);
    wire.abort();
  }
  eventually([&] { return server_->statistics().open == 0; });
  const std::lock_guard lock(mutex);
  EXPECT_EQ(complete, std::vector<bool>(50, false));
}

TEST_F(ServerLoadTest, TooManyAreClosedAtOnceAndIdleOnesMakeRoom) {
  ServerOptions options;
  options.most_connections = 8;
  start(options);
  std::vector<std::unique_ptr<Wire>> idle;
  eventually([&] {
    idle.push_back(std::make_unique<Wire>(server_->port()));
    return server_->statistics().refused > 0;
  });
  EXPECT_GT(idle.size(), 8U);
  EXPECT_LE(server_->statistics().open, 8U);
  eventually([&] { return server_->statistics().timed_out > 0; });
  expect_served();
}

TEST_F(ServerLoadTest, WhoNeverFinishesARequestIsCutOffAlthoughBytesKeepComing) {
  ServerOptions options;
  options.header_timeout = std::chrono::milliseconds(200);
  start(options);
  Wire slow(server_->port());
  slow.send("GET / HTTP/1.1\r\nX: ");
  // Each byte is progress; only the limit on the whole header can end this.
  std::thread drip([&] {
    while (server_->statistics().timed_out == 0) slow.trickle("x");
  });
  EXPECT_EQ(slow.rest(), "");
  drip.join();
  EXPECT_EQ(server_->statistics().timed_out, 1U);
  expect_served();
}

TEST_F(ServerLoadTest, AStoppedReaderIsCutOff) {
  ServerOptions options;
  options.stall_timeout = std::chrono::milliseconds(200);
  start(options);
  Wire stopped(server_->port());
  stopped.narrow(1 << 18);
  stopped.send("GET /file HTTP/1.1\r\n\r\n");
  eventually([&] { return server_->statistics().timed_out == 1; });
  EXPECT_LT(stopped.rest().size(), file_size);
  expect_served();
}

TEST_F(ServerLoadTest, ReadersThatTakeNextToNothingMakeRoomOnceItIsCrowded) {
  ServerOptions options;
  options.most_connections = 8;
  options.header_timeout = std::chrono::milliseconds(100);
  options.idle_timeout = std::chrono::milliseconds(100);
  options.least_rate_when_crowded = std::uint64_t{1} << 40;  // nobody is that fast
  start(options);
  const auto slow_reader = [this] {
    auto wire = std::make_unique<Wire>(server_->port());
    wire->narrow(1);
    wire->send("GET /file HTTP/1.1\r\n\r\n");
    EXPECT_EQ(wire->receive(std::size_t{1}), "H");
    return wire;
  };
  std::vector<std::unique_ptr<Wire>> slow;
  slow.push_back(slow_reader());
  {
    // While there is room, an idle connection is given up and a slow one is not.
    const Wire idle(server_->port());
    eventually([&] { return server_->statistics().timed_out == 1; });
    eventually([&] { return server_->statistics().open == 1; });
  }
  while (slow.size() < 7) slow.push_back(slow_reader());
  eventually([&] { return server_->statistics().timed_out > 1; });
  expect_served();
}

TEST_F(ServerLoadTest, ASlowReaderStaysInACrowdAsLongAsItTakesEnough) {
  ServerOptions options;
  options.most_connections = 8;
  options.header_timeout = std::chrono::milliseconds(1);
  options.least_rate_when_crowded = 0;
  start(options);
  std::vector<std::unique_ptr<Wire>> slow;
  while (slow.size() < 6) {
    auto& wire = *slow.emplace_back(std::make_unique<Wire>(server_->port()));
    wire.narrow(1);
    wire.send("GET /file HTTP/1.1\r\n\r\n");
    EXPECT_EQ(wire.receive(std::size_t{1}), "H");
  }
  // Two that say nothing are given up in the same sweep as the readers would be.
  const Wire one(server_->port());
  const Wire two(server_->port());
  eventually([&] { return server_->statistics().timed_out >= 2; });
  eventually([&] { return server_->statistics().open == 6; });
}

TEST_F(ServerLoadTest, WhatAnAnswerIsMadeOfLivesUntilItIsSent) {
  auto owned = std::make_shared<std::string>(8 << 20, 'o');
  const std::weak_ptr<std::string> watch = owned;
  auto started = HttpServer::start(*Ipv4::parse("127.0.0.1"), 0, [&](const auto&) {
    ServerResponse response;
    response.shared_body = *owned;
    response.owner = std::exchange(owned, nullptr);
    response.lines = "X-Kept: yes\r\n";
    return response;
  });
  ASSERT_TRUE(started);
  Wire wire((*started)->port());
  wire.narrow(1 << 18);
  wire.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(wire.receive("\r\n\r\n").substr(0, 200), HasSubstr("X-Kept: yes\r\n"));
  EXPECT_FALSE(watch.expired());
  wire.abort();
  eventually([&] { return watch.expired(); });
}

TEST_F(ServerLoadTest, TlsSendsFilesWholeAndOnlyToWhoTrustsIt) {
  const auto identity = tls_test::self_signed("bedplate");
  ServerOptions options;
  options.tls = identity;
  start(options);
  const auto file = ask("https", "/file", identity.certificate_pem);
  ASSERT_TRUE(file) << file.error().render();
  EXPECT_EQ(Digest::of(file->body), digest_);
  const auto other = tls_test::self_signed("another");
  const auto refused = ask("https", "/quick", other.certificate_pem);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::untrusted);
  EXPECT_FALSE(ask("http", "/quick"));
}

TEST_F(ServerLoadTest, TlsOneDotOneIsRefused) {
  ServerOptions options;
  options.tls = tls_test::self_signed("bedplate");
  start(options);
  // A ClientHello that knows nothing newer than TLS 1.1 (RFC 4346 section 7.4.1.2).
  const std::string random(32, 'r');
  const std::string hello =
      std::string("\x03\x02", 2) + random + std::string("\x00\x00\x02\xc0\x0a\x01\x00", 7);
  const std::string message =
      std::string("\x01\x00\x00", 3) + static_cast<char>(hello.size()) + hello;
  Wire wire(server_->port());
  wire.send(std::string("\x16\x03\x01\x00", 4) + static_cast<char>(message.size()) + message);
  // An alert: fatal, protocol_version (70).
  EXPECT_THAT(wire.rest(), ::testing::EndsWith("\x02\x46"));
}

TEST_F(ServerLoadTest, TlsIdentityIsExchangedAndAWrongOneLeavesTheOld) {
  const auto first = tls_test::self_signed("first");
  const auto second = tls_test::self_signed("second");
  ServerOptions options;
  options.tls = first;
  start(options);
  const auto mixed = server_->set_tls({second.certificate_pem, first.private_key_pem});
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().kind, ErrorKind::invalid);
  EXPECT_TRUE(ask("https", "/quick", first.certificate_pem));
  ASSERT_TRUE(server_->set_tls(second));
  EXPECT_TRUE(ask("https", "/quick", second.certificate_pem));
  EXPECT_FALSE(ask("https", "/quick", first.certificate_pem));
}

TEST_F(ServerLoadTest, ManyTlsClientsAtOnce) {
  ServerOptions options;
  options.tls = tls_test::self_signed("bedplate");
  start(options);
  std::vector<std::jthread> clients;
  std::atomic<int> right{0};
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      const auto file = ask("https", "/file", options.tls->certificate_pem);
      if (file && Digest::of(file->body) == digest_) ++right;
    });
  }
  clients.clear();
  EXPECT_EQ(right, 8);
}

}  // namespace
}  // namespace bedplate

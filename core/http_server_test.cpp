#include "core/http_server.hpp"

#include <optional>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"
#include "core/wire_fixture.hpp"

namespace bedplate {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HttpServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-http");
    ASSERT_TRUE(made);
    folder_.emplace(std::move(*made));
    ASSERT_TRUE(write_file_atomic(folder_->path() / "f", std::string(4 << 20, 'f') + "THE END"));
    file_ = *open_file(folder_->path() / "f", O_RDONLY);
    auto started = HttpServer::start(*Ipv4::parse("127.0.0.1"), 0,
                                     [this](const auto& request) { return answer(request); });
    ASSERT_TRUE(started) << started.error().render();
    server_ = std::move(*started);
  }

  ServerResponse answer(const ServerRequest& request) const {
    ServerResponse response;
    if (request.path == "/file") {
      response.file = file_.get();
      response.file_length = (4 << 20) + 7;
      return response;
    }
    response.body = std::string(request.method) + " " + std::string(request.path) + " [" +
                    request.parameter("a") + "] " + std::string(request.header("x-one"));
    return response;
  }

  std::optional<TemporaryDirectory> folder_;
  UniqueFd file_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, DecodesPathsParametersAndHeaders) {
  Wire wire(server_->port());
  wire.send("GET /a%20b?x=1&a=b%2Fc HTTP/1.1\r\nHost: x\r\nX-One:  two \r\n\r\n");
  const auto text = wire.receive("two");
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(text, EndsWith("GET /a b [b/c] two"));
}

TEST_F(HttpServerTest, RequestsMayComeInPiecesOrAllAtOnce) {
  Wire wire(server_->port());
  for (const char c : std::string("GET /1 HTTP/1.1\r\n\r\n")) wire.send(std::string_view(&c, 1));
  EXPECT_THAT(wire.receive("/1 [] "), HasSubstr("200 OK"));
  wire.send(
      "GET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\nGET /4 HTTP/1.1\r\nConnection: close\r\n\r\n");
  const auto all = wire.rest();
  EXPECT_LT(all.find("GET /2"), all.find("GET /3"));
  EXPECT_LT(all.find("GET /3"), all.find("GET /4"));
  EXPECT_THAT(all, HasSubstr("Connection: close"));
}

TEST_F(HttpServerTest, HeadHasLengthButNoBody) {
  Wire wire(server_->port());
  wire.send("HEAD /file HTTP/1.1\r\nConnection: close\r\n\r\n");
  const auto text = wire.rest();
  EXPECT_THAT(text, HasSubstr("Content-Length: 4194311\r\n"));
  EXPECT_THAT(text, EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, FilesArriveWholeAndTheConnectionStaysInStep) {
  Wire wire(server_->port());
  wire.send("GET /file HTTP/1.1\r\n\r\n");
  const auto text = wire.receive("THE END");
  EXPECT_EQ(text.size() - text.find("\r\n\r\n") - 4, (4U << 20) + 7);
  wire.send("GET /after HTTP/1.1\r\n\r\n");
  EXPECT_THAT(wire.receive("/after"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, ReadersThatStopHoldNobodyUp) {
  Wire stopped(server_->port());
  stopped.send("GET /file HTTP/1.1\r\n\r\nGET /file HTTP/1.1\r\n\r\n");
  for (int i = 0; i < 20; ++i) {
    Wire wire(server_->port());
    wire.send("GET /quick HTTP/1.1\r\n\r\n");
    EXPECT_THAT(wire.receive("/quick"), HasSubstr("200 OK"));
  }
}

TEST_F(HttpServerTest, BodiesAreDropped) {
  Wire wire(server_->port());
  wire.send("POST /p HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /inside HTTP/1.1\r\n\r\n......");
  wire.send("GET /after HTTP/1.1\r\n\r\n");
  const auto text = wire.receive("/after");
  EXPECT_THAT(text, HasSubstr("POST /p"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("/inside")));
}

TEST_F(HttpServerTest, WhatIsNoHttpIsRefusedAndClosed) {
  for (const auto* text : {"\r\n\r\n", "hello\r\n\r\n", "GET /\r\n\r\n", "GET x HTTP/1.1\r\n\r\n",
                           "GET / HTTP/2.0\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n"}) {
    Wire wire(server_->port());
    wire.send(text);
    EXPECT_THAT(wire.rest(), StartsWith("HTTP/1.1 400")) << text;
  }
}

// skopeo and docker try TLS first and take the other way only when the answer is no TLS.
TEST_F(HttpServerTest, TlsIsAnsweredAtOnce) {
  Wire wire(server_->port());
  wire.send(std::string_view("\x16\x03\x01\x02\x00\x01", 6));
  EXPECT_THAT(wire.rest(), StartsWith("HTTP/1.1 400"));
}

TEST_F(HttpServerTest, EndlessHeadersAreCutOff) {
  Wire wire(server_->port());
  wire.send("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x'));
  EXPECT_THAT(wire.rest(), StartsWith("HTTP/1.1 431"));
}

TEST_F(HttpServerTest, TooManyFieldsAreRefused) {
  Wire wire(server_->port());
  std::string flood = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 101; ++i) flood += "A: b\r\n";
  wire.send(flood + "\r\n");
  EXPECT_THAT(wire.rest(), StartsWith("HTTP/1.1 431"));
}

TEST_F(HttpServerTest, AmbiguousFramingIsRefused) {
  for (const auto* field : {"Content-Length: 1\r\nContent-Length: 2", "Content-Length: -1",
                            "Content-Length: 1, 1", "Content-Length : 1", " Folded: x", ": x"}) {
    Wire wire(server_->port());
    wire.send(std::string("GET / HTTP/1.1\r\n") + field + "\r\n\r\n");
    EXPECT_THAT(wire.rest(), StartsWith("HTTP/1.1 400")) << field;
  }
}

TEST_F(HttpServerTest, OldClientsAndProxiesAreUnderstood) {
  Wire old(server_->port());
  old.send("GET /old HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.rest(), HasSubstr("Connection: close\r\n\r\nGET /old"));
  Wire proxy(server_->port());
  proxy.send("GET http://x/by?a=1 HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(proxy.rest(), HasSubstr("GET /by [1]"));
}

/// More than one turn's share, in one packet.
TEST_F(HttpServerTest, AHundredPipelinedRequestsAreAllAnswered) {
  Wire wire(server_->port());
  std::string many;
  for (int i = 0; i < 100; ++i) many += "GET /n" + std::to_string(i) + ". HTTP/1.1\r\n\r\n";
  wire.send(many);
  const auto text = wire.receive("/n99.");
  std::size_t at = 0;
  for (int i = 0; i < 100; ++i) {
    at = text.find("/n" + std::to_string(i) + ".", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST_F(HttpServerTest, LargeOrChunkedBodiesEndTheConnection) {
  for (const auto* field : {"Content-Length: 99999999", "Transfer-Encoding: chunked"}) {
    Wire wire(server_->port());
    wire.send(std::string("PUT /p HTTP/1.1\r\n") + field + "\r\n\r\n");
    EXPECT_THAT(wire.rest(), HasSubstr("Connection: close")) << field;
  }
}

TEST_F(HttpServerTest, ManyConnectionsAtOnce) {
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 300; ++i) wires.push_back(std::make_unique<Wire>(server_->port()));
  for (auto& wire : wires) wire->send("GET /all HTTP/1.1\r\n\r\n");
  for (auto& wire : wires) EXPECT_THAT(wire->receive("/all"), HasSubstr("200 OK"));
}

TEST_F(HttpServerTest, StopsWhileClientsAreConnected) {
  Wire wire(server_->port());
  wire.send("GET /file HTTP/1.1\r\n\r\n");
  server_.reset();
}

TEST_F(HttpServerTest, PortInUseNamesTheCommandThatShowsWhy) {
  const auto second = HttpServer::start(*Ipv4::parse("127.0.0.1"), server_->port(),
                                        [](const auto&) { return ServerResponse{}; });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::io);
  EXPECT_THAT(second.error().hint, HasSubstr("ss -ltnp"));
}

}  // namespace
}  // namespace bedplate

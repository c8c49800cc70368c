// Enrolment over real TLS on loopback, and everything that must be refused.

#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "node-agent/cluster/enrolment_client.hpp"
#include "node-agent/cluster/node_api.hpp"

namespace bedplate::agent {
namespace {

const Ipv4 loopback = Ipv4::parse("127.0.0.1").value();
const std::string server_name = "node-1";

class Enrolment : public testing::Test {
 protected:
  void SetUp() override { start(); }

  void start() {
    api_.reset();
    NodeApiOptions options;
    options.address = loopback;
    options.port = 0;
    options.state_directory = folder_.path() / "server";
    options.node_name = server_name;
    options.enrolment = {{server_name, secret_of_server_}, {"node-2", secret_of_node_}};
    options.operator_keys = {operator_key_.public_key()};
    options.join_material = [this](const std::string&) -> Result<JoinMaterial> {
      if (!cluster_ready_) return fail(ErrorKind::network, "the cluster is not ready yet");
      return JoinMaterial{"CA", "https://api.lab.example:7443", "abcdef.0123456789abcdef"};
    };
    options.longest_connection = longest_connection_;
    options.operator_kubeconfig = [](const std::string& user) -> Result<std::string> {
      return "kubeconfig of " + user;
    };
    auto started = NodeApi::start(std::move(options));
    ASSERT_TRUE(started) << started.error().render();
    api_ = std::move(*started);
  }

  EnrolOptions client(std::string folder = "client") {
    EnrolOptions options;
    options.server = loopback;
    options.port = api_->port();
    options.node = "node-2";
    options.secret = secret_of_node_;
    options.state_directory = folder_.path() / std::move(folder);
    return options;
  }

  OperatorOptions person() {
    return {loopback,          api_->port(), operator_key_,
            secret_of_server_, "operator",   std::chrono::seconds(10)};
  }

  TemporaryDirectory folder_ = *TemporaryDirectory::create("bedplate-enrolment");
  std::string secret_of_server_ = random_bytes(32);
  std::string secret_of_node_ = random_bytes(32);
  PrivateKey operator_key_ = PrivateKey::generate();
  bool cluster_ready_ = true;
  std::chrono::milliseconds longest_connection_ = TlsServer::longest_connection;
  std::unique_ptr<NodeApi> api_;
};

TEST_F(Enrolment, GivesACertificateAndWhatJoiningNeeds) {
  const auto join = enrol(client());
  ASSERT_TRUE(join) << join.error().render();
  EXPECT_EQ(join->server, "https://api.lab.example:7443");
  EXPECT_EQ(join->token, "abcdef.0123456789abcdef");
  const auto certificate = read_file(folder_.path() / "client/node.crt").value();
  EXPECT_NE(certificate.find("BEGIN CERTIFICATE"), std::string::npos);
}

TEST_F(Enrolment, TheSameKeyMayAskAgainAlsoAfterARestartOfTheServer) {
  ASSERT_TRUE(enrol(client()));
  ASSERT_TRUE(enrol(client()));
  start();
  ASSERT_TRUE(enrol(client()));
}

TEST_F(Enrolment, AUsedSecretIsRefusedToAnotherKeyAlsoAfterARestart) {
  ASSERT_TRUE(enrol(client()));
  start();
  const auto second = enrol(client("thief"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::untrusted);
  EXPECT_NE(second.error().what.find("used by another key"), std::string::npos);
}

TEST_F(Enrolment, AnUnreadableRecordOfUsedSecretsFreesNone) {
  ASSERT_TRUE(enrol(client()));
  ASSERT_TRUE(write_file_atomic(folder_.path() / "server/used.json", "{ torn"));
  EXPECT_FALSE(enrol(client("thief")));
}

TEST_F(Enrolment, AWrongSecretIsSeenByTheClientFirst) {
  auto options = client();
  options.secret = random_bytes(32);
  const auto refused = enrol(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::untrusted);
  EXPECT_FALSE(refused.error().hint.empty());
}

TEST_F(Enrolment, AnUnknownNodeLearnsNothing) {
  auto options = client();
  options.node = "node-9";
  EXPECT_EQ(enrol(options).error().kind, ErrorKind::untrusted);
}

TEST_F(Enrolment, AClusterThatIsNotReadyIsARetryAndKeepsTheSecretForThatKey) {
  cluster_ready_ = false;
  EXPECT_EQ(enrol(client()).error().kind, ErrorKind::network);
  cluster_ready_ = true;
  EXPECT_TRUE(enrol(client()));
}

TEST_F(Enrolment, NobodyThereIsANetworkError) {
  auto options = client();
  api_.reset();
  EXPECT_EQ(enrol(options).error().kind, ErrorKind::network);
}

/// A client that skips its own check of the server and sends what it is told to.
Result<Json> raw_finish(std::uint16_t port, const std::string& secret, bool use_binding,
                        const std::string& csr) {
  BP_TRY(auto stream, TlsStream::connect(loopback, port, std::chrono::seconds(10)));
  Transcript transcript{"node/node-2", random_bytes(32), {}, std::string(32, 'x')};
  if (use_binding) {
    BP_TRY(transcript.channel_binding, stream.binding());
  }
  BP_TRY(const auto begun,
         call(stream, "/v1/enrol",
              Json{{"node", "node-2"}, {"nonce", base64_encode(transcript.client_nonce)}}));
  BP_TRY(transcript.server_nonce, base64_decode(begun["serverNonce"].get<std::string>()));
  return call(stream, "/v1/enrol/finish",
              Json{{"csr", csr}, {"proof", base64_encode(node_proof(secret, transcript, csr))}});
}

TEST_F(Enrolment, TheServerChecksTheProofItself) {
  const auto csr = make_csr(new_private_key_pem(), "node-2").value();
  EXPECT_EQ(raw_finish(api_->port(), random_bytes(32), true, csr).error().kind,
            ErrorKind::untrusted);
  EXPECT_TRUE(raw_finish(api_->port(), secret_of_node_, true, csr));
}

TEST_F(Enrolment, AProofOfAnotherChannelIsWorthless) {
  const auto csr = make_csr(new_private_key_pem(), "node-2").value();
  EXPECT_EQ(raw_finish(api_->port(), secret_of_node_, false, csr).error().kind,
            ErrorKind::untrusted);
}

/// Somebody in between: takes the client's connection, and passes every message on to the server
/// over a connection of its own.
TEST_F(Enrolment, AMiddlemanWhoRelaysIsFound) {
  auto folder = folder_.path() / "middle";
  const auto fake = NodeAuthority::ensure(folder, server_name, loopback).value();
  const auto real_port = api_->port();
  bool relayed = false;
  auto middle = TlsServer::start(loopback, 0, fake.server(), [&](TlsStream& client_side) {
    auto server_side = TlsStream::connect(loopback, real_port, std::chrono::seconds(10));
    if (!server_side) return;
    while (true) {
      auto request = read_request(client_side);
      if (!request || request->method.empty()) return;
      auto answer = call(*server_side, request->target, *parse_json(request->body, "relayed"));
      relayed = true;
      const auto response = answer ? ApiResponse{200, *answer} : refusal(answer.error());
      if (!write_response(client_side, response)) return;
    }
  });
  ASSERT_TRUE(middle);
  auto options = client();
  options.port = (*middle)->port();
  const auto refused = enrol(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::untrusted);
  EXPECT_TRUE(relayed);
  EXPECT_TRUE(enrol(client()));  // the secret was not used up by the attempt
}

TEST_F(Enrolment, AnExchangeIsFinishedOnce) {
  auto stream = TlsStream::connect(loopback, api_->port(), std::chrono::seconds(10)).value();
  const auto refused = call(stream, "/v1/enrol/finish", Json{{"csr", ""}, {"proof", ""}});
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
}

TEST_F(Enrolment, OperatorWithTheKeyGetsAKubeconfig) {
  EXPECT_EQ(fetch_operator_kubeconfig(person()).value(), "kubeconfig of operator");
}

TEST_F(Enrolment, OperatorWithAnotherKeyOrAnEvilNameIsRefused) {
  auto other = person();
  other.key = PrivateKey::generate();
  EXPECT_EQ(fetch_operator_kubeconfig(other).error().kind, ErrorKind::untrusted);
  auto evil = person();
  evil.user = "--org=system:masters";
  EXPECT_EQ(fetch_operator_kubeconfig(evil).error().kind, ErrorKind::invalid);
}

TEST_F(Enrolment, OperatorRefusesAServerOfAnotherSite) {
  auto options = person();
  options.server_secret = random_bytes(32);
  EXPECT_EQ(fetch_operator_kubeconfig(options).error().kind, ErrorKind::untrusted);
}

TEST_F(Enrolment, ANodeThatAnOperatorHadForgottenMayEnrolAgain) {
  ASSERT_TRUE(enrol(client()));
  ASSERT_EQ(enrol(client("installed-anew")).error().kind, ErrorKind::untrusted);
  auto stranger = person();
  stranger.key = PrivateKey::generate();
  EXPECT_EQ(forget_node(stranger, "node-2").error().kind, ErrorKind::untrusted);
  ASSERT_EQ(enrol(client("installed-anew")).error().kind, ErrorKind::untrusted);
  const auto forgotten = forget_node(person(), "node-2");
  ASSERT_TRUE(forgotten) << forgotten.error().render();
  EXPECT_TRUE(*forgotten);
  EXPECT_FALSE(forget_node(person(), "node-2").value()) << "repeated it changes nothing";
  start();
  EXPECT_TRUE(enrol(client("installed-anew")));
  EXPECT_EQ(enrol(client()).error().kind, ErrorKind::untrusted) << "the old disk";
}

TEST_F(Enrolment, OnlyNodesThatEnrolAreForgotten) {
  EXPECT_EQ(forget_node(person(), "node-9").error().kind, ErrorKind::not_found);
  EXPECT_EQ(forget_node(person(), server_name).error().kind, ErrorKind::not_found);
}

TEST_F(Enrolment, NonsenseIsRefusedAndTheServerLives) {
  for (const auto& text :
       {std::string("GET /v1/enrol HTTP/1.1\r\n\r\n"), std::string("nonsense\r\n\r\n"),
        std::string("POST /v1/enrol HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"),
        std::string("POST /v1/enrol HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"),
        std::string(40'000, 'x')}) {
    auto stream = TlsStream::connect(loopback, api_->port(), std::chrono::seconds(10)).value();
    (void)stream.write(text);
    (void)stream.read_some(4096);
  }
  EXPECT_TRUE(enrol(client()));
}

TEST_F(Enrolment, BytesThatAreNotUtf8AreRefusedAndTheServerLives) {
  for (const auto& text :
       {std::string("POST /v1/enrol HTTP/1.1\r\nContent-Length: 1\r\n\r\n\xff"),
        std::string("POST /\xff HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"),
        std::string("POST /v1/enrol HTTP/1.1\r\nContent-Length: 12\r\n\r\n{\"node\":\"\xff\"}"),
        std::string("\xff /v1/enrol HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")}) {
    auto stream = TlsStream::connect(loopback, api_->port(), std::chrono::seconds(10)).value();
    ASSERT_TRUE(stream.write(text));
    const auto answer = stream.read_some(4096);
    ASSERT_TRUE(answer) << answer.error().render();
    EXPECT_TRUE(answer->starts_with("HTTP/1.1 4")) << *answer;
  }
  EXPECT_TRUE(enrol(client()));
}

TEST_F(Enrolment, ManySilentConnectionsDoNotKeepANodeOut) {
  longest_connection_ = std::chrono::seconds(2);
  start();
  std::vector<TlsStream> silent;
  for (int i = 0; i < 32; ++i) {
    silent.push_back(TlsStream::connect(loopback, api_->port(), std::chrono::seconds(10)).value());
  }
  auto options = client();
  options.patience = std::chrono::seconds(10);  // shorter than the server's for a silent peer
  const auto join = enrol(options);
  EXPECT_TRUE(join) << join.error().render();
}

TEST_F(Enrolment, AConnectionThatGoesOnAndOnIsEnded) {
  longest_connection_ = std::chrono::seconds(2);
  start();
  auto stream = TlsStream::connect(loopback, api_->port(), std::chrono::seconds(10)).value();
  int written = 0;
  while (written < 1000 && stream.write("x")) {
    ++written;
    ::usleep(20'000);
  }
  EXPECT_LT(written, 1000) << "bytes that come slowly keep a connection for good";
}

TEST(TlsServer, WhatAHandlerThrowsEndsItsConnectionOnly) {
  auto folder = *TemporaryDirectory::create("bedplate-tls");
  const auto authority = NodeAuthority::ensure(folder.path() / "a", "node-1", loopback).value();
  auto server = TlsServer::start(loopback, 0, authority.server(), [](TlsStream& stream) {
    const auto said = stream.read_some(1).value_or("");
    if (said == "x") throw std::runtime_error("a mistake");
    (void)stream.write("lives");
  });
  ASSERT_TRUE(server);
  const auto answer = [&](std::string_view said) {
    auto stream = TlsStream::connect(loopback, (*server)->port(), std::chrono::seconds(10)).value();
    (void)stream.write(said);
    return stream.read_some(16).value_or("");
  };
  EXPECT_EQ(answer("x"), "");
  EXPECT_EQ(answer("y"), "lives");
}

TEST(NodeAuthority, KeepsItsFilesAndSignsOnlyGoodRequests) {
  auto folder = *TemporaryDirectory::create("bedplate-authority");
  const auto first = NodeAuthority::ensure(folder.path() / "a", "node-1", loopback).value();
  const auto again = NodeAuthority::ensure(folder.path() / "a", "node-1", loopback).value();
  EXPECT_EQ(first.certificate_pem(), again.certificate_pem());
  EXPECT_EQ(first.server().certificate_pem, again.server().certificate_pem);
  EXPECT_EQ(std::filesystem::status(folder.path() / "a/ca.key").permissions(),
            std::filesystem::perms(0600));
  EXPECT_EQ(first.issue("nonsense", "node-2").error().kind, ErrorKind::invalid);
  EXPECT_TRUE(first.issue(make_csr(new_private_key_pem(), "x").value(), "node-2"));
}

}  // namespace
}  // namespace bedplate::agent

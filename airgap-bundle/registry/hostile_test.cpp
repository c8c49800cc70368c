// Registries that lie, stall, flood and lure: each must end in a clear error, within bounds, with
// nothing at the bundle's place.

#include <algorithm>
#include <atomic>

#include <gmock/gmock.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/hostile_server.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t much = 24ULL << 20;  ///< no refusal may need more bytes than this

/// A registry with one image, of which every answer can be replaced.
class HostileTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    ::setenv("REGISTRY_AUTH_FILE", (folder() / "auth.json").c_str(), 1);
    config_ = Json{{"os", "linux"},
                   {"architecture", "amd64"},
                   {"rootfs", {{"type", "layers"}, {"diff_ids", Json::array()}}}}
                  .dump();
    set_layers(Json::array({describe(layer_, oci::media::layer_tar)}));
    server_.emplace([this](const auto& request, auto& peer) { serve(request, peer); });
  }
  void TearDown() override {
    server_.reset();  // before what its scripts use
    ::unsetenv("REGISTRY_AUTH_FILE");
  }

  static Json describe(std::string_view content, std::string_view type) {
    return {{"mediaType", type}, {"digest", Digest::of(content).str()}, {"size", content.size()}};
  }
  void set_layers(const Json& layers) {
    manifest_ = Json{
        {"schemaVersion", 2},
        {"mediaType", oci::media::manifest},
        {"config", describe(config_, oci::media::config)},
        {"layers",
         layers}}.dump();
  }

  void serve(const HostileRequest& request, HostilePeer& peer) {
    const auto ends = [&](const std::string& end) { return request.path.ends_with(end); };
    const auto typed = "Content-Type: " + std::string(oci::media::manifest) + "\r\n";
    if (override_ && override_(request, peer)) return;
    if (request.path.find("/manifests/") != std::string::npos) {
      peer.answer("200 OK", manifest_, typed);
    } else if (ends(Digest::of(config_).str())) {
      peer.answer("200 OK", config_);
    } else if (ends(Digest::of(layer_).str())) {
      const auto start = static_cast<std::size_t>(request.range_start());
      const auto body = std::string_view(layer_).substr(start);
      if (request.header("Range").empty()) return void(peer.answer("200 OK", body));
      const bool probe = !request.header("Range").ends_with('-');
      peer.answer("206 Partial Content", probe ? body.substr(0, 1) : body);
    } else {
      peer.answer("404 Not Found", "");
    }
  }

  static bool is_layer(const HostileRequest& request, const std::string& content) {
    return request.path.ends_with(Digest::of(content).str());
  }
  static bool is_manifest(const HostileRequest& request) {
    return request.path.find("/manifests/") != std::string::npos;
  }

  Result<collect::Created> make(const std::string& reference = "team/app:1.0") {
    const auto spec = collect::parse_spec(
        "kind: Bundle\nname: a\nversion: '1'\nimages:\n  - {name: 'r.example/a:1', source: "
        "'registry:" +
            server_->host() + "/" + reference + "', plainHTTP: true}\n",
        "bundle.yaml");
    if (!spec) return fail(spec.error());
    collect::CreateOptions options;
    options.root = folder();
    options.output = file();
    options.workers = 1;
    options.patience = registry::Patience{&clock_, std::chrono::milliseconds(1000),
                                          std::chrono::milliseconds(1500)};
    return collect::create_bundle(*spec, options, key_, nullptr);
  }

  Error refused(const std::string& reference = "team/app:1.0") {
    const auto made = make(reference);
    EXPECT_FALSE(made);
    EXPECT_FALSE(fs::exists(file()));
    EXPECT_LT(server_->sent(), much);
    return made ? Error(ErrorKind::internal, "was made") : made.error();
  }

  FakeClock clock_;
  std::string config_;
  const std::string layer_ = noise(200'000, 9);
  std::string manifest_;
  /// True: it has answered.
  std::function<bool(const HostileRequest&, HostilePeer&)> override_;
  std::optional<HostileServer> server_;
};

TEST_F(HostileTest, AnHonestOneIsASource) {
  const auto made = make();
  ASSERT_OK(made);
  const auto reader = open(file());
  ASSERT_OK(reader);
  ASSERT_OK(reader->verify(nullptr));
}

TEST_F(HostileTest, AnotherManifestThanTheDigestSays) {
  const auto error = refused("team/app@" + Digest::of(std::string_view("other")).str());
  EXPECT_EQ(error.kind, ErrorKind::corrupt);
}

TEST_F(HostileTest, AnotherBlobThanTheDigestSays) {
  override_ = [this](const auto& request, auto& peer) {
    return is_layer(request, layer_) && peer.answer("200 OK", noise(layer_.size(), 10));
  };
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
  EXPECT_FALSE(fs::exists(file().string() + ".partial"));
}

TEST_F(HostileTest, AnotherConfigurationThanTheDigestSays) {
  override_ = [this](const auto& request, auto& peer) {
    return is_layer(request, config_) && peer.answer("200 OK", std::string(config_.size(), ' '));
  };
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
}

TEST_F(HostileTest, ABlobWithoutEnd) {
  override_ = [this](const auto& request, auto& peer) {
    if (!is_layer(request, layer_)) return false;
    peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    const std::string block(64 << 10, 'x');
    while (peer.send(block)) {
    }
    return true;
  };
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
}

TEST_F(HostileTest, AManifestOf100Megabytes) {
  override_ = [](const auto& request, auto& peer) {
    if (!is_manifest(request)) return false;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\nConnection: close\r\n\r\n");
    const std::string block(64 << 10, ' ');
    while (peer.send(block)) {
    }
    return true;
  };
  EXPECT_EQ(refused().kind, ErrorKind::invalid);
}

TEST_F(HostileTest, RedirectsWithoutEnd) {
  override_ = [](const auto& request, auto& peer) {
    return peer.answer("307 Temporary Redirect", "", "Location: " + request.path + "x\r\n");
  };
  EXPECT_EQ(refused().kind, ErrorKind::network);
  EXPECT_LE(server_->requests().size(), 30U);
}

TEST_F(HostileTest, AnotherHostNeverSeesTheLogin) {
  write(folder() / "auth.json",
        Json{{"auths", {{server_->host(), {{"auth", base64_encode("me:secret")}}}}}}.dump(), 0600);
  HostileServer other([this](const auto&, auto& peer) { peer.answer("200 OK", layer_); });
  override_ = [&](const HostileRequest& request, HostilePeer& peer) {
    if (request.header("Authorization").empty()) {
      return peer.answer("401 Unauthorized", "", "WWW-Authenticate: Basic realm=\"r\"\r\n");
    }
    return is_layer(request, layer_) &&
           peer.answer("307 Temporary Redirect", "",
                       "Location: http://" + other.host() + "/somewhere\r\n");
  };
  ASSERT_OK(make());
  ASSERT_EQ(other.requests().size(), 1U);
  EXPECT_EQ(other.requests()[0].head.find("uthorization"), std::string::npos);
  EXPECT_THAT(server_->requests().back().header("Authorization"), HasSubstr("Basic "));
}

TEST_F(HostileTest, AShorterBlobThanTheManifestSays) {
  override_ = [this](const auto& request, auto& peer) {
    return is_layer(request, layer_) && peer.answer("200 OK", layer_.substr(0, 1000));
  };
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
}

TEST_F(HostileTest, LessThanTheLengthThatIsAnnounced) {
  override_ = [this](const auto& request, auto& peer) {
    if (!is_layer(request, layer_)) return false;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\nConnection: close\r\n\r\n");
    return peer.send("only this");
  };
  EXPECT_EQ(refused().kind, ErrorKind::network);
}

TEST_F(HostileTest, MoreThanTheLengthThatIsAnnounced) {
  override_ = [this](const auto& request, auto& peer) {
    if (!is_layer(request, layer_)) return false;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n");
    return peer.send(layer_) || true;
  };
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
}

TEST_F(HostileTest, AManifestThatDrips) {
  override_ = [](const auto& request, auto& peer) {
    if (!is_manifest(request)) return false;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n");
    while (peer.send(" ")) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return true;
  };
  registry::ClientOptions options;
  options.plain_http = true;
  options.document_timeout = std::chrono::milliseconds(300);
  const auto http = make_http_client();
  registry::Client client(*http, *oci::Reference::parse(server_->host() + "/team/app:1"), options);
  const auto manifest = client.manifest("1");
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind, ErrorKind::network);
}

TEST_F(HostileTest, ABlobThatStallsIsTakenUpWhereItWas) {
  std::atomic<int> asked = 0;
  override_ = [&](const HostileRequest& request, HostilePeer& peer) {
    if (!is_layer(request, layer_) || asked++ > 0) return false;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\nConnection: close\r\n\r\n");
    peer.send(std::string_view(layer_).substr(0, 70'000));
    peer.wait_for_hangup();
    return true;
  };
  ASSERT_OK(make());
  const auto requests = server_->requests();
  EXPECT_TRUE(std::ranges::any_of(requests, [](const HostileRequest& request) {
    return request.header("Range") == "bytes=70000-";
  }));
}

TEST_F(HostileTest, NothingIsInflated) {
  override_ = [this](const auto& request, auto& peer) {
    return is_manifest(request) &&
           peer.answer("200 OK", std::string("\x1f\x8b\x08\0", 4) + manifest_,
                       "Content-Encoding: gzip\r\n");
  };
  EXPECT_EQ(refused().kind, ErrorKind::invalid);
  EXPECT_EQ(server_->requests().front().header("Accept-Encoding"), "");
}

TEST_F(HostileTest, AnIndexThatIsItsOwnChild) {
  override_ = [this](const auto& request, auto& peer) {
    if (!is_manifest(request)) return false;
    const Json child{{"mediaType", oci::media::index},
                     {"digest", Digest::of(std::string_view("itself")).str()},
                     {"size", 300},
                     {"platform", {{"os", "linux"}, {"architecture", "amd64"}}}};
    return peer.answer(
        "200 OK",
        Json{{"schemaVersion", 2}, {"mediaType", oci::media::index}, {"manifests", {child}}}
            .dump());
  };
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);
}

TEST_F(HostileTest, AnIndexOf10000Platforms) {
  override_ = [](const auto& request, auto& peer) {
    if (!is_manifest(request)) return false;
    Json children = Json::array();
    for (int i = 0; i < 10'000; ++i) {
      auto child = describe(std::to_string(i), oci::media::manifest);
      child["platform"] = {{"os", "linux"}, {"architecture", "cpu" + std::to_string(i)}};
      children.push_back(std::move(child));
    }
    return peer.answer("200 OK", Json{{"schemaVersion", 2},
                                      {"mediaType", oci::media::index},
                                      {"manifests", std::move(children)}}
                                     .dump());
  };
  const auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_LT(error.render().size(), 2000U);
}

TEST_F(HostileTest, AMillionLayers) {
  const auto one = describe(layer_, oci::media::layer_tar);
  set_layers(Json(std::vector<Json>(1000, one)));
  EXPECT_EQ(refused().kind, ErrorKind::invalid);
  const auto text = one.dump();
  std::string list = "[" + text;
  for (int i = 1; i < 1'000'000; ++i) list += "," + text;
  manifest_ = R"({"schemaVersion":2,"layers":)" + list + "]}";
  EXPECT_EQ(refused().kind, ErrorKind::invalid);
}

TEST_F(HostileTest, SizesThatWouldOverflow) {
  auto layers = Json::array();
  for (const auto* name : {"a", "b", "c"}) {
    auto layer = describe(name, oci::media::layer_tar);
    layer["size"] = 0xffff'ffff'ffff'ff00ULL;
    layers.push_back(layer);
  }
  set_layers(layers);
  EXPECT_EQ(refused().kind, ErrorKind::invalid);
}

TEST_F(HostileTest, MoreThanTheDiskHolds) {
  auto layer = describe("a", oci::media::layer_tar);
  layer["size"] = 16ULL << 40;
  set_layers(Json::array({layer}));
  EXPECT_EQ(refused().kind, ErrorKind::io);
  EXPECT_FALSE(fs::exists(file().string() + ".partial"));
}

/// Registries that want a token.
class TokenTest : public HostileTest {
 protected:
  /// Answers the token endpoint with `answer`, and no token is ever good enough.
  Error refused_with(const std::function<bool(HostilePeer&)>& answer) {
    override_ = [this, answer](const HostileRequest& request, HostilePeer& peer) {
      if (request.path.starts_with("/token")) return answer(peer);
      return peer.answer("401 Unauthorized", "",
                         "WWW-Authenticate: Bearer realm=\"http://" + server_->host() +
                             "/token\",service=\"s\"\r\n");
    };
    return refused();
  }
};

TEST_F(TokenTest, Garbage) {
  EXPECT_EQ(refused_with([](auto& peer) { return peer.answer("200 OK", "<html>"); }).kind,
            ErrorKind::invalid);
  EXPECT_EQ(refused_with([](auto& peer) { return peer.answer("200 OK", "[1]"); }).kind,
            ErrorKind::invalid);
}

TEST_F(TokenTest, WithoutEnd) {
  const auto error = refused_with([](auto& peer) {
    peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    const std::string block(64 << 10, ' ');
    while (peer.send(block)) {
    }
    return true;
  });
  EXPECT_EQ(error.kind, ErrorKind::invalid);
}

TEST_F(TokenTest, OneThatIsNeverGoodEnough) {
  const auto error =
      refused_with([](auto& peer) { return peer.answer("200 OK", R"({"token":"t0ps3cret"})"); });
  EXPECT_EQ(error.kind, ErrorKind::untrusted);
  EXPECT_LE(server_->requests().size(), 3U);
  EXPECT_THAT(error.render(), Not(HasSubstr("t0ps3cret")));
}

TEST_F(TokenTest, OneThatWouldBeHeadersOfItsOwn) {
  const auto error =
      refused_with([](auto& peer) { return peer.answer("200 OK", R"({"token":"a\r\nHost: b"})"); });
  EXPECT_EQ(error.kind, ErrorKind::invalid);
  EXPECT_THAT(error.render(), Not(HasSubstr("Host: b")));
}

TEST_F(HostileTest, ABusyOneIsNotWaitedForForYears) {
  for (const auto* years : {"1000000000", "99999999999999999999"}) {
    override_ = [years](const auto&, auto& peer) {
      return peer.answer("503 Busy", "", "Retry-After: " + std::string(years) + "\r\n");
    };
    const auto before = clock_.uptime;
    EXPECT_EQ(refused().kind, ErrorKind::network);
    EXPECT_EQ(clock_.uptime - before, std::chrono::minutes(8)) << "four times two minutes";
  }
}

TEST_F(HostileTest, MessagesDoNotReachTheTerminalRaw) {
  override_ = [](const auto&, auto& peer) {
    return peer.answer("404 Not Found", R"({"errors":[{"message":"\u001b[2J\u0007\u009b1m)" +
                                            std::string(100'000, 'x') + R"("}]})");
  };
  const auto text = refused().render();
  EXPECT_EQ(text.find_first_of("\x1b\x07\x9b"), std::string::npos);
  EXPECT_LT(text.size(), 2000U);
}

TEST_F(HostileTest, HeadersDoNotReachTheTerminalRaw) {
  manifest_ = "{}";
  override_ = [this](const auto& request, auto& peer) {
    return is_manifest(request) && peer.answer("200 OK", "{}", "Content-Type: \x1b[2J\xff\xfe\r\n");
  };
  const auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::unsupported);
  EXPECT_EQ(error.render().find_first_of("\x1b\xff"), std::string::npos);
  EXPECT_THAT(error.to_json().dump(), HasSubstr("unsupported"));
}

}  // namespace
}  // namespace bedplate::bundle_test

#include "airgap-bundle/registry/server_set.hpp"

#include <fstream>

#include <gmock/gmock.h>

#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/handmade.hpp"
#include "core/http_client.hpp"
#include "core/json.hpp"
#include "core/wire_fixture.hpp"

namespace bedplate::bundle_test {
namespace {

using registry::ServedSet;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr auto manifest_type = "application/vnd.oci.image.manifest.v1+json";

/// A manifest that differs by its text and has a layer of that digest.
std::string manifest_text(const std::string& mark, const std::string& more = "") {
  return R"({"schemaVersion":2,"mediaType":")" + std::string(manifest_type) +
         R"(","config":{"mediaType":"application/vnd.test.config","digest":"sha256:)" +
         std::string(64, '1') + R"(","size":2},"layers":[],"annotations":{"mark":")" + mark +
         "\"}" + more + "}";
}

class ServedSetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-set");
    ASSERT_OK(made);
    folder_.emplace(std::move(*made));
  }

  fs::path path(const std::string& name) const { return folder_->path() / name; }

  registry::BundleSource source() const {
    registry::BundleSource out;
    out.folder = folder_->path();
    out.trust = {key_.public_key().str()};
    return out;
  }

  /// Serves what is in the folder.
  void serve() {
    auto opened = ServedSet::open(source());
    ASSERT_OK(opened);
    set_ = std::move(*opened);
    auto started = HttpServer::start(*Ipv4::parse("127.0.0.1"), 0,
                                     [this](const auto& request) { return set_->handle(request); });
    ASSERT_OK(started);
    server_ = std::move(*started);
  }

  HttpResponse ask(const std::string& path, const std::string& method = "GET",
                   std::vector<std::pair<std::string, std::string>> headers = {}) {
    HttpRequest request;
    request.method = method;
    request.url = "http://127.0.0.1:" + std::to_string(server_->port()) + path;
    request.headers = std::move(headers);
    auto response = client_->send(request);
    EXPECT_TRUE(response) << response.error().render();
    return response ? *response : HttpResponse{};
  }

  std::optional<TemporaryDirectory> folder_;
  PrivateKey key_ = PrivateKey::generate();
  std::unique_ptr<ServedSet> set_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpClient> client_ = make_http_client();
};

/// Bytes that this process has asked the kernel for so far.
std::uint64_t bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string name;
  std::uint64_t value = 0;
  while (io >> name >> value) {
    if (name == "rchar:") return value;
  }
  ADD_FAILURE() << "no rchar in /proc/self/io";
  return 0;
}

TEST_F(ServedSetTest, OfFiftyGigabytesOnlyTheHeaderIsRead) {
  HandmadeBundle large;
  std::uint64_t manifests = 0;
  for (int i = 0; i < 100; ++i) {
    const auto mark = std::to_string(i);
    const auto text = manifest_text(mark + std::string(50'000, 'm'));
    manifests += text.size();
    large.add_image("registry.example/app" + mark + ":v1", text);
    large.add_hole(Digest::of("layer " + mark), 500ULL << 20);
  }
  large.write(path("large.bundle"), key_);
  EXPECT_GT(fs::file_size(path("large.bundle")), 50'000'000'000ULL);
  const auto before = bytes_read();
  serve();
  EXPECT_LT(bytes_read() - before, manifests / 10);
  // And from behind all of it:
  const auto last = ask("/v2/app99/manifests/v1");
  EXPECT_EQ(Digest::of(last.body), large.header.images[99].digest);
  const auto layer = "/v2/app99/blobs/" + Digest::of("layer 99").str();
  EXPECT_EQ(ask(layer, "GET", {{"Range", "bytes=-5"}}).body, std::string(5, '\0'));
  EXPECT_EQ(ask(layer, "HEAD").headers["content-length"], std::to_string(500ULL << 20));
}

TEST_F(ServedSetTest, SeveralBundlesAreOneAndTheLaterOneHasTheTag) {
  HandmadeBundle older;
  HandmadeBundle newer;
  const auto old_digest = older.add_image("registry.example/app:v1", manifest_text("old"));
  older.add_image("registry.example/only-old:v1", manifest_text("only old"));
  newer.header.created_at += std::chrono::hours(1);
  const auto new_digest = newer.add_image("registry.example/app:v1", manifest_text("new"));
  newer.add_image("registry.example/app:v2", manifest_text("new 2"));
  // The order of the names is not that of the times.
  newer.write(path("1.bundle"), key_);
  older.write(path("2.bundle"), key_);
  write(path("ignored.txt"), "no bundle");
  serve();
  EXPECT_EQ(ask("/v2/app/manifests/v1", "HEAD").headers["docker-content-digest"], new_digest.str());
  EXPECT_EQ(ask("/v2/app/manifests/" + old_digest.str()).status, 200);
  EXPECT_EQ(ask("/v2/only-old/manifests/v1").status, 200);
  EXPECT_THAT((*parse_json(ask("/v2/app/tags/list").body, "tags"))["tags"],
              ElementsAre("v1", "v2"));
}

TEST_F(ServedSetTest, OfTheSameTimeTheFirstOneHasTheTag) {
  HandmadeBundle first;
  HandmadeBundle second;
  const auto digest = first.add_image("registry.example/app:v1", manifest_text("first"));
  second.add_image("registry.example/app:v1", manifest_text("second"));
  first.write(path("a.bundle"), key_);
  second.write(path("b.bundle"), key_);
  serve();
  EXPECT_EQ(ask("/v2/app/manifests/v1", "HEAD").headers["docker-content-digest"], digest.str());
}

class DifferentialTest : public ServedSetTest {
 protected:
  void SetUp() override {
    ServedSetTest::SetUp();
    base_digest_ = base_.add_image("registry.example/app:v1", manifest_text("base"));
    base_.write(path("base.bundle"), key_);
    difference_.header.name = "difference";
    difference_.header.created_at += std::chrono::hours(1);
    difference_.header.images.push_back(
        {"registry.example/app:v2", base_digest_, manifest_type, "", {}});
    difference_.header.elsewhere.push_back({base_digest_, manifest_text("base").size()});
  }
  HandmadeBundle base_;
  HandmadeBundle difference_;
  Digest base_digest_;
};

TEST_F(DifferentialTest, IsServedBesideItsBase) {
  difference_.write(path("difference.bundle"), key_);
  serve();
  for (const auto* tag : {"v1", "v2"}) {
    EXPECT_EQ(ask(std::string("/v2/app/manifests/") + tag).body, manifest_text("base")) << tag;
  }
}

TEST_F(DifferentialTest, WithoutItsBaseItIsRefusedByWhatIsMissing) {
  difference_.write(path("difference.bundle"), key_);
  fs::remove(path("base.bundle"));
  const auto refused = ServedSet::open(source());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::not_found);
  EXPECT_THAT(refused.error().what, HasSubstr(base_digest_.str()));
  EXPECT_THAT(refused.error().what, HasSubstr("registry.example/app:v2"));
  EXPECT_THAT(refused.error().hint, HasSubstr("made against"));
}

TEST_F(DifferentialTest, ABaseWithAnotherSizeDoesNotCount) {
  difference_.header.elsewhere[0].size += 1;
  difference_.write(path("difference.bundle"), key_);
  EXPECT_FALSE(ServedSet::open(source()));
}

TEST_F(ServedSetTest, AFolderWithoutBundlesIsRefused) {
  const auto refused = ServedSet::open(source());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::not_found);
}

TEST_F(ServedSetTest, AReloadTakesTheNewAndTransfersEndWithTheOld) {
  // More than sockets buffer: some of it is still in the file at the time of the reload.
  const std::string content = noise(24 << 20, 9);
  HandmadeBundle old;
  const auto digest = old.add(content);
  old.add_image("registry.example/app:v1", manifest_text("old"));
  old.write(path("one.bundle"), key_);
  serve();
  Wire wire(server_->port());
  wire.narrow(1 << 18);
  wire.send("GET /v2/app/blobs/" + digest.str() + " HTTP/1.1\r\nConnection: close\r\n\r\n");
  const auto begin = wire.receive(std::size_t{1000});
  const std::weak_ptr<const registry::BundleRegistry> before = set_->current();

  HandmadeBundle changed;
  changed.header.created_at += std::chrono::hours(1);
  changed.add_image("registry.example/app:v2", manifest_text("new"));
  changed.write(path("next"), key_);
  fs::rename(path("next"), path("one.bundle"));
  ASSERT_OK(set_->reload());
  EXPECT_TRUE(before.expired());
  EXPECT_EQ(ask("/v2/app/manifests/v2").status, 200);
  EXPECT_EQ(ask("/v2/app/manifests/v1").status, 404);
  EXPECT_EQ(ask("/v2/app/blobs/" + digest.str()).status, 404);
  const auto all = begin + wire.rest();
  EXPECT_EQ(Digest::of(all.substr(all.find("\r\n\r\n") + 4)), digest);
}

TEST_F(ServedSetTest, AReloadThatFailsChangesNothing) {
  HandmadeBundle good;
  good.add_image("registry.example/app:v1", manifest_text("good"));
  good.write(path("good.bundle"), key_);
  serve();
  HandmadeBundle foreign;
  foreign.add_image("registry.example/app:v1", manifest_text("foreign"));
  foreign.write(path("foreign.bundle"), PrivateKey::generate());
  const auto untrusted = set_->reload();
  ASSERT_FALSE(untrusted);
  EXPECT_EQ(untrusted.error().kind, ErrorKind::untrusted);
  EXPECT_EQ(ask("/v2/app/manifests/v1").body, manifest_text("good"));

  good.write(path("foreign.bundle"), key_);
  fs::resize_file(path("foreign.bundle"), fs::file_size(path("foreign.bundle")) - 1);
  const auto corrupt = set_->reload();
  ASSERT_FALSE(corrupt);
  EXPECT_EQ(corrupt.error().kind, ErrorKind::corrupt);
  EXPECT_EQ(ask("/v2/app/manifests/v1").body, manifest_text("good"));
}

class ReferrerTest : public ServedSetTest {
 protected:
  void SetUp() override {
    ServedSetTest::SetUp();
    HandmadeBundle made;
    subject_ = made.add_image("registry.example/app:v1", manifest_text("app"));
    const auto tag = "sha256-" + subject_.hex() + ".sig";
    const auto refer = [&](const std::string& mark, const std::string& type,
                           const std::string& of_tag) {
      const auto digest = made.add(manifest_text(
          mark, type.empty() ? "" : R"(,"artifactType":"application/vnd.in-manifest")"));
      made.header.referrers.push_back(
          {"registry.example/app", subject_, digest, manifest_type, type, of_tag});
      return digest;
    };
    signature_ = refer("signature", "application/vnd.signature", tag);
    bill_ = refer("bill", "", "");
    made.write(path("site.bundle"), key_);
    serve();
  }
  Json list(const std::string& query = "") {
    auto answer = ask("/v2/app/referrers/" + subject_.str() + query);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers["content-type"], "application/vnd.oci.image.index.v1+json");
    filtered_ = answer.headers["oci-filters-applied"];
    return *parse_json(answer.body, "index");
  }
  Digest subject_;
  Digest signature_;
  Digest bill_;
  std::string filtered_;
};

TEST_F(ReferrerTest, AreListedWithTypeAndAnnotations) {
  const auto index = list();
  EXPECT_EQ(index["schemaVersion"], 2);
  EXPECT_EQ(filtered_, "");
  ASSERT_THAT(index["manifests"], SizeIs(2));
  const auto& first = index["manifests"][0];
  EXPECT_EQ(first["digest"], signature_.str());
  EXPECT_EQ(first["mediaType"], manifest_type);
  EXPECT_EQ(first["artifactType"], "application/vnd.signature");
  EXPECT_EQ(first["annotations"]["mark"], "signature");
  EXPECT_EQ(first["size"], ask("/v2/app/manifests/" + signature_.str()).body.size());
  // Without a type of its own, that of the configuration (image-spec, "Guidelines for Artifacts").
  EXPECT_EQ(index["manifests"][1]["artifactType"], "application/vnd.test.config");
}

TEST_F(ReferrerTest, AreFilteredByType) {
  const auto index = list("?artifactType=application%2Fvnd.signature");
  EXPECT_EQ(filtered_, "artifactType");
  ASSERT_THAT(index["manifests"], SizeIs(1));
  EXPECT_EQ(index["manifests"][0]["digest"], signature_.str());
  EXPECT_THAT(list("?artifactType=other")["manifests"], SizeIs(0));
  EXPECT_EQ(filtered_, "artifactType");
}

TEST_F(ReferrerTest, AreFoundByDigestAndTheOneWithATagByThat) {
  EXPECT_EQ(ask("/v2/app/manifests/" + bill_.str()).status, 200);
  EXPECT_EQ(Digest::of(ask("/v2/app/manifests/sha256-" + subject_.hex() + ".sig").body),
            signature_);
  EXPECT_THAT((*parse_json(ask("/v2/app/tags/list").body, "tags"))["tags"],
              ElementsAre("sha256-" + subject_.hex() + ".sig", "v1"));
}

TEST_F(ReferrerTest, OfWhatHasNoneAreAnEmptyIndex) {
  for (const auto& digest : {Digest::of("nothing").str(), "sha512:" + std::string(128, 'a')}) {
    auto answer = ask("/v2/app/referrers/" + digest);
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT((*parse_json(answer.body, "index"))["manifests"], SizeIs(0));
  }
  EXPECT_EQ(ask("/v2/app/referrers/sha256:12").status, 400);
}

class AnswerTest : public ServedSetTest {
 protected:
  void SetUp() override {
    ServedSetTest::SetUp();
    HandmadeBundle made;
    blob_ = made.add("0123456789");
    made.add_image("registry.example/app:v1", manifest_text("app"));
    made.add_image("registry.example/spoilt:v1", manifest_text("spoilt"));
    index_ = made.add(R"({"schemaVersion":2,"manifests":[]})");
    made.write(path("site.bundle"), key_);
    flip(path("site.bundle"), made.header.entries[2].offset);
    serve();
  }
  std::string blob_path() const { return "/v2/app/blobs/" + blob_.str(); }
  Digest blob_;
  Digest index_;
};

TEST_F(AnswerTest, ARangeCountsForThisContentOnly) {
  const auto etag = "\"" + blob_.str() + "\"";
  const auto with = [&](const std::string& condition) {
    return ask(blob_path(), "GET", {{"Range", "bytes=2-3"}, {"If-Range", condition}});
  };
  EXPECT_EQ(with(etag).body, "23");
  EXPECT_EQ(with(etag).status, 206);
  for (const auto& other : {std::string("\"x\""), "W/" + etag, std::string("Tue, 1 Jan 2030")}) {
    EXPECT_EQ(with(other).body, "0123456789") << other;
  }
  EXPECT_EQ(ask(blob_path(), "HEAD", {{"Range", "bytes=2-3"}}).headers["content-length"], "10");
}

TEST_F(AnswerTest, WhatIsKnownIsNotSentAgain) {
  const auto etag = "\"" + blob_.str() + "\"";
  const auto same = ask(blob_path(), "GET", {{"If-None-Match", "\"a\", " + etag}});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(ask(blob_path(), "GET", {{"If-None-Match", "\"a\""}}).status, 200);
  const auto manifest = "\"" + Digest::of(manifest_text("app")).str() + "\"";
  EXPECT_EQ(ask("/v2/app/manifests/v1", "GET", {{"If-None-Match", manifest}}).status, 304);
}

TEST_F(AnswerTest, ASpoiltManifestIsAnErrorAndTheOthersGoOn) {
  const auto spoilt = ask("/v2/spoilt/manifests/v1");
  EXPECT_EQ(spoilt.status, 500);
  EXPECT_THAT(spoilt.body, HasSubstr("differs from its digest"));
  EXPECT_EQ(ask("/v2/app/manifests/v1").status, 200);
}

TEST_F(AnswerTest, ABlobIsAManifestOnlyWhenItIsOne) {
  const auto index = ask("/v2/app/manifests/" + index_.str());
  EXPECT_EQ(index.status, 200);
  const auto blob = ask("/v2/app/manifests/" + blob_.str());
  EXPECT_EQ(blob.status, 404);
  EXPECT_THAT(blob.body, HasSubstr("MANIFEST_UNKNOWN"));
}

TEST_F(AnswerTest, DigestsAreUnknownOrInvalid) {
  const auto other = "sha512:" + std::string(128, 'a');
  EXPECT_THAT(ask("/v2/app/blobs/" + other).body, HasSubstr("BLOB_UNKNOWN"));
  EXPECT_THAT(ask("/v2/app/manifests/" + other).body, HasSubstr("MANIFEST_UNKNOWN"));
  for (const auto* wrong : {"sha256:x", "sha512:12", ":aa", "sha256", "SHA256:aa"}) {
    EXPECT_THAT(ask(std::string("/v2/app/blobs/") + wrong).body, HasSubstr("DIGEST_INVALID"));
  }
  EXPECT_THAT(ask("/v2/app/manifests/sha256:x").body, HasSubstr("DIGEST_INVALID"));
}

TEST_F(AnswerTest, BytesThatAreNoTextDoNoHarm) {
  for (const auto* path : {"/%ff", "/v2/%ff/manifests/v1", "/v2/app/manifests/%ff%00",
                           "/v2/app/blobs/%fe", "/v2/app/tags/list?n=%ff", "/v2/app/%ff/list"}) {
    const auto answer = ask(path);
    EXPECT_GE(answer.status, 400) << path;
    EXPECT_TRUE(parse_json(answer.body, "error")) << answer.body;
  }
  EXPECT_EQ(ask("/v2/").status, 200);
}

}  // namespace
}  // namespace bedplate::bundle_test

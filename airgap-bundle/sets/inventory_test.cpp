#include "airgap-bundle/sets/inventory.hpp"

#include <gmock/gmock.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "core/http_server.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Digest hello = Digest::of(std::string_view("hello"));

sets::Inventory sample() {
  sets::Inventory out;
  out.created_at = WallTime(std::chrono::seconds(1'000'000'000));
  out.sources = {"bundle two-nodes 1"};
  out.blobs[hello] = 5;
  out.images["registry.example/a:1"] = hello;
  return out;
}

class InventoryTest : public BundleTest {
 protected:
  std::vector<PublicKey> keys() const { return {key_.public_key()}; }
};

// The bytes that docs/bundle-format.md promises.
TEST_F(InventoryTest, GoldenPayload) {
  EXPECT_EQ(sample().to_text(),
            R"({"blobs":[{"digest":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e730)"
            R"(43362938b9824","size":5}],"createdAt":"2001-09-09T01:46:40Z","images":[{"digest":)"
            R"("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","name":)"
            R"("registry.example/a:1"}],"kind":"Inventory","sources":["bundle two-nodes 1"]})");
}

TEST_F(InventoryTest, IsSignedAsDsseSays) {
  const auto envelope = *parse_json(sets::sign_inventory(sample(), key_), "envelope");
  const auto payload = *base64_decode(envelope["payload"].get<std::string>());
  EXPECT_EQ(payload, sample().to_text());
  const std::string type(sets::inventory_type);
  EXPECT_EQ(envelope["payloadType"], type);
  const auto signature = *base64_decode(envelope["signatures"][0]["sig"].get<std::string>());
  EXPECT_TRUE(key_.public_key().verify("DSSEv1 " + std::to_string(type.size()) + " " + type + " " +
                                           std::to_string(payload.size()) + " " + payload,
                                       signature));
}

TEST_F(InventoryTest, IsReadBackAsItWas) {
  const auto read = sets::read_inventory(sets::sign_inventory(sample(), key_), keys(), false);
  ASSERT_OK(read);
  EXPECT_EQ(read->to_text(), sample().to_text());
}

TEST_F(InventoryTest, AnotherSignerIsUntrustedUnlessThatIsSaid) {
  const auto text = sets::sign_inventory(sample(), PrivateKey::generate());
  const auto read = sets::read_inventory(text, keys(), false);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::untrusted);
  EXPECT_THAT(read.error().hint, HasSubstr("--unsigned-inventory"));
  ASSERT_OK(sets::read_inventory(text, keys(), true));
}

TEST_F(InventoryTest, AnyOtherPayloadOrTypeIsRefused) {
  auto envelope = *parse_json(sets::sign_inventory(sample(), key_), "envelope");
  auto other = sample();
  other.blobs[hello] = 6;
  const auto changed = [&](const char* key, const std::string& value) {
    auto copy = envelope;
    copy[key] = value;
    return sets::read_inventory(copy.dump(), keys(), false);
  };
  EXPECT_EQ(changed("payload", base64_encode(other.to_text())).error().kind, ErrorKind::untrusted);
  EXPECT_EQ(changed("payloadType", "application/x").error().kind, ErrorKind::invalid);
  EXPECT_EQ(changed("payload", "***").error().kind, ErrorKind::invalid);
  EXPECT_EQ(changed("signatures", "none").error().kind, ErrorKind::untrusted);
  for (const auto* text : {"", "{}", "[]", "{\"payloadType\": 1}", "null"}) {
    EXPECT_EQ(sets::read_inventory(text, keys(), true).error().kind, ErrorKind::invalid) << text;
  }
}

TEST_F(InventoryTest, APayloadThatIsNoInventoryIsInvalid) {
  for (
      const auto* text :
      {"", "[]", "{}", R"({"kind":"Site"})", R"({"kind":"Inventory"})",
       R"({"kind":"Inventory","createdAt":"2001-09-09T01:46:40Z","sources":[],"blobs":{},"images":[]})",
       R"({"kind":"Inventory","createdAt":"2001-09-09T01:46:40Z","sources":[],"blobs":[null],"images":[]})",
       R"({"kind":"Inventory","createdAt":"2001-09-09T01:46:40Z","sources":[],"blobs":[],"images":[{}]})"}) {
    const auto parsed = sets::Inventory::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::invalid) << text;
  }
}

TEST_F(InventoryTest, BundlesAndInventoriesAreToldApart) {
  create(file());
  write(folder() / "inventory.json", sets::sign_inventory(sample(), key_));
  const auto have =
      sets::read_have({file().string(), (folder() / "inventory.json").string()}, keys(), false);
  ASSERT_OK(have);
  const auto reader = open(file());
  EXPECT_EQ(have->size(), reader->header().entries.size() - 2 + 1);
  EXPECT_EQ(have->at(hello), 5U);
  write(folder() / "other", "neither");
  EXPECT_FALSE(sets::read_have({(folder() / "other").string()}, keys(), true));
  EXPECT_EQ(sets::read_have({(folder() / "none").string()}, keys(), true).error().kind,
            ErrorKind::not_found);
}

/// A registry of one process: what it is told to answer, on the loopback address.
class RegistryInventoryTest : public InventoryTest {
 protected:
  void SetUp() override {
    InventoryTest::SetUp();
    auto started = HttpServer::start(*Ipv4::parse("127.0.0.1"), 0, [this](const auto& request) {
      const std::string path(request.path);
      auto found = answers_.end();
      if (!request.query.empty()) found = answers_.find(path + "?" + std::string(request.query));
      if (found == answers_.end()) found = answers_.find(path);
      return found == answers_.end() ? response(404, "{}", {}) : found->second;
    });
    ASSERT_OK(started);
    server_ = std::move(*started);
    access_.set(host(), {true, {}, {}});
    answer("/v2/_catalog", R"({"repositories":["team/app"]})");
    answer("/v2/team/app/tags/list", R"({"name":"team/app","tags":["1"]})");
  }
  std::string host() const { return "127.0.0.1:" + std::to_string(server_->port()); }
  void answer(const std::string& path, const std::string& body, int status = 200,
              std::vector<std::pair<std::string, std::string>> headers = {}) {
    answers_[path] = response(status, body, std::move(headers));
  }
  static ServerResponse response(int status, const std::string& body,
                                 std::vector<std::pair<std::string, std::string>> headers) {
    ServerResponse out;
    out.status = status;
    out.body = body;
    out.headers = std::move(headers);
    return out;
  }
  Digest put_manifest(const std::string& text, std::string_view type, const std::string& tag = "") {
    const auto digest = Digest::of(text);
    for (const auto& reference : {digest.str(), tag}) {
      answer("/v2/team/app/manifests/" + reference, text, 200,
             {{"Content-Type", std::string(type)}});
    }
    return digest;
  }
  static Json descriptor(const Digest& digest, std::uint64_t size, std::string_view type) {
    return {{"digest", digest.str()}, {"size", size}, {"mediaType", type}};
  }
  static std::string manifest(std::string_view layer) {
    return Json{{"schemaVersion", 2},
                {"mediaType", oci::media::manifest},
                {"config", descriptor(hello, 5, oci::media::config)},
                {"layers", {descriptor(Digest::of(layer), layer.size(), oci::media::layer_tar)}}}
        .dump();
  }
  Result<sets::Inventory> walk() {
    sets::Inventory out;
    BP_CHECK(sets::add_registry(out, host(), access_, nullptr));
    return out;
  }

  std::map<std::string, ServerResponse> answers_;
  std::unique_ptr<HttpServer> server_;
  SystemProcessRunner runner_of_helpers_;
  registry::Access access_{runner_of_helpers_};
};

TEST_F(RegistryInventoryTest, FollowsTagsToEveryBlob) {
  const auto text = manifest("layer");
  const auto digest = put_manifest(text, oci::media::manifest, "1");
  const auto found = walk();
  ASSERT_OK(found);
  EXPECT_EQ(found->images, (std::map<std::string, Digest>{{host() + "/team/app:1", digest}}));
  EXPECT_EQ(found->blobs,
            (bundle::BlobSizes{
                {digest, text.size()}, {hello, 5}, {Digest::of(std::string_view("layer")), 5}}));
}

TEST_F(RegistryInventoryTest, FollowsPagesOfCatalogAndTags) {
  answer("/v2/_catalog?n=1000", R"({"repositories":["empty"]})", 200,
         {{"Link", "</v2/_catalog?n=1000&last=empty>; rel=\"next\""}});
  answer("/v2/_catalog?n=1000&last=empty", R"({"repositories":["team/app"]})");
  answer("/v2/empty/tags/list", R"({"name":"empty","tags":null})");
  answer("/v2/team/app/tags/list?n=1000", R"({"tags":["1"]})", 200,
         {{"Link", "<http://elsewhere.example/v2/team/app/tags/list?last=1>; rel=\"next\""}});
  answer("/v2/team/app/tags/list?last=1", R"({"tags":["2"]})");
  put_manifest(manifest("one"), oci::media::manifest, "1");
  put_manifest(manifest("two"), oci::media::manifest, "2");
  const auto found = walk();
  ASSERT_OK(found);
  EXPECT_EQ(found->images.size(), 2U);
  EXPECT_EQ(found->blobs.size(), 5U);
}

TEST_F(RegistryInventoryTest, AnIndexCountsWithTheChildrenThatAreThere) {
  const auto child = put_manifest(manifest("amd64"), oci::media::manifest);
  const auto absent = Digest::of(std::string_view("arm64"));
  const auto index = Json{{"schemaVersion", 2},
                          {"mediaType", oci::media::index},
                          {"manifests",
                           {descriptor(child, 1, oci::media::manifest),
                            descriptor(absent, 1, oci::media::manifest)}}}
                         .dump();
  const auto digest = put_manifest(index, oci::media::index, "1");
  const auto found = walk();
  ASSERT_OK(found);
  EXPECT_TRUE(found->blobs.contains(digest));
  EXPECT_TRUE(found->blobs.contains(child));
  EXPECT_TRUE(found->blobs.contains(Digest::of(std::string_view("amd64"))));
  EXPECT_FALSE(found->blobs.contains(absent));
}

TEST_F(RegistryInventoryTest, WhatCannotBeReadIsLeftOut) {
  answer("/v2/team/app/tags/list", R"({"tags":["1","2","gone"]})");
  put_manifest(manifest("one"), oci::media::manifest, "1");
  put_manifest(R"({"schemaVersion":1,"fsLayers":[]})", oci::media::docker_schema1, "2");
  const auto found = walk();
  ASSERT_OK(found);
  std::vector<std::string> names;
  for (const auto& [name, digest] : found->images) names.push_back(name);
  EXPECT_THAT(names, ElementsAre(host() + "/team/app:1"));
  EXPECT_EQ(found->blobs.size(), 3U);
}

TEST_F(RegistryInventoryTest, ARegistryWithoutCatalogSaysWhatToDo) {
  answer("/v2/_catalog", "{}", 404);
  const auto none = walk();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(none.error().hint, HasSubstr("--bundle"));
  answer("/v2/_catalog", "{}", 401, {{"WWW-Authenticate", "Basic realm=\"x\""}});
  const auto refused = walk();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::untrusted);
  EXPECT_THAT(refused.error().hint, HasSubstr("administrator"));
  answer("/v2/_catalog", "[]");
  EXPECT_EQ(walk().error().kind, ErrorKind::invalid);
}

TEST_F(RegistryInventoryTest, AFailureInTheMiddleIsNoInventory) {
  answer("/v2/team/app/tags/list", "{}", 500);
  const auto found = walk();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::network);
  EXPECT_THAT(found.error().render(), HasSubstr("team/app"));
}

}  // namespace
}  // namespace bedplate::bundle_test

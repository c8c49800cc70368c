#include "airgap-bundle/registry/server.hpp"

#include <gmock/gmock.h>

#include "airgap-bundle/tests/fixture.hpp"
#include "core/http_client.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A bundle behind the real HTTP server, asked by the real HTTP client.
class RegistryTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    spec_ = R"(kind: Bundle
name: test
version: "1"
images:
  - {name: "registry.k8s.io/app:v1", source: "rootfs:app"}
  - {name: "registry.k8s.io/app:v2", source: "rootfs:app", config: {cmd: ["b"]}}
  - {name: "registry.k8s.io/app:v3", source: "rootfs:app", config: {cmd: ["c"]}}
  - {name: "registry.k8s.io/coredns/coredns:v1", source: "rootfs:app"}
  - {name: "docker.io/library/both:1", source: "rootfs:app"}
  - {name: "quay.io/library/both:1", source: "rootfs:app", config: {cmd: ["d"]}}
)";
    create(file());
    auto opened = open(file());
    ASSERT_OK(opened);
    reader_.emplace(std::move(*opened));
    auto made = registry::BundleRegistry::create(*reader_);
    ASSERT_OK(made);
    registry_.emplace(std::move(*made));
    auto started = HttpServer::start(*Ipv4::parse("127.0.0.1"), 0, [this](const auto& request) {
      return registry_->handle(request);
    });
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

  static std::string code_of(const HttpResponse& response) {
    const auto value = parse_json(response.body, "answer");
    EXPECT_TRUE(value) << response.body;
    return value ? (*value)["errors"][0]["code"].get<std::string>() : "";
  }

  /// The layer of an image, and its content.
  const bundle::Entry& layer() {
    const auto manifest = parse_json(*reader_->blob(reader_->header().images[0].digest), "m");
    const auto digest = Digest::parse((*manifest)["layers"][0]["digest"].get<std::string>());
    return *reader_->header().find(*digest);
  }
  std::string layer_bytes(std::uint64_t from, std::uint64_t size) {
    return reader_->blob(layer().digest)->substr(from, size);
  }
  std::string layer_path() { return "/v2/app/blobs/" + layer().digest.str(); }

  std::optional<bundle::Reader> reader_;
  std::optional<registry::BundleRegistry> registry_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpClient> client_ = make_http_client();
};

TEST_F(RegistryTest, SaysThatItIsARegistry) {
  EXPECT_EQ(ask("/v2/").status, 200);
  EXPECT_EQ(ask("/v2").status, 200);
  EXPECT_EQ(ask("/").status, 404);
}

TEST_F(RegistryTest, ManifestByTagAndDigestWithTheExactBytes) {
  const auto& image = reader_->header().images[0];
  for (const auto& reference : {std::string("v1"), image.digest.str()}) {
    auto answer = ask("/v2/app/manifests/" + reference + "?ns=registry.k8s.io");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(Digest::of(answer.body), image.digest);
    EXPECT_EQ(answer.headers["docker-content-digest"], image.digest.str());
    EXPECT_EQ(answer.headers["content-type"], image.media_type);
    EXPECT_EQ(answer.headers["content-length"], std::to_string(answer.body.size()));
  }
}

TEST_F(RegistryTest, HeadAnswersWithoutABody) {
  auto manifest = ask("/v2/app/manifests/v1?ns=registry.k8s.io", "HEAD");
  EXPECT_EQ(manifest.status, 200);
  EXPECT_THAT(manifest.body, IsEmpty());
  EXPECT_EQ(manifest.headers["docker-content-digest"], reader_->header().images[0].digest.str());
  auto blob = ask(layer_path(), "HEAD");
  EXPECT_EQ(blob.status, 200);
  EXPECT_EQ(blob.headers["content-length"], std::to_string(layer().size));
  // The connection is still in step.
  EXPECT_EQ(ask("/v2/").status, 200);
}

TEST_F(RegistryTest, RepositoriesAreFoundByNamespaceByFullNameAndWhenUnique) {
  EXPECT_EQ(ask("/v2/coredns/coredns/manifests/v1?ns=registry.k8s.io").status, 200);
  EXPECT_EQ(ask("/v2/registry.k8s.io/coredns/coredns/manifests/v1").status, 200);
  EXPECT_EQ(ask("/v2/coredns/coredns/manifests/v1").status, 200);
  EXPECT_EQ(ask("/v2/coredns/coredns/manifests/v1?ns=docker.io").status, 404);
  const auto one = ask("/v2/library/both/manifests/1?ns=docker.io").body;
  const auto two = ask("/v2/library/both/manifests/1?ns=quay.io").body;
  EXPECT_NE(one, two);
  // Two registries have it: without ns none is guessed.
  EXPECT_EQ(code_of(ask("/v2/library/both/manifests/1")), "NAME_UNKNOWN");
}

TEST_F(RegistryTest, UnknownThingsHaveTheirCodes) {
  const auto nothing = "sha256:" + std::string(64, '0');
  EXPECT_EQ(code_of(ask("/v2/nothing/manifests/v1")), "NAME_UNKNOWN");
  EXPECT_EQ(code_of(ask("/v2/nothing/tags/list")), "NAME_UNKNOWN");
  EXPECT_EQ(code_of(ask("/v2/app/manifests/v9?ns=registry.k8s.io")), "MANIFEST_UNKNOWN");
  EXPECT_EQ(code_of(ask("/v2/app/manifests/" + nothing + "?ns=registry.k8s.io")),
            "MANIFEST_UNKNOWN");
  EXPECT_EQ(code_of(ask("/v2/app/blobs/" + nothing)), "BLOB_UNKNOWN");
  EXPECT_EQ(ask("/v2/app/blobs/" + nothing).status, 404);
  EXPECT_EQ(code_of(ask("/v2/app/blobs/sha256:12")), "DIGEST_INVALID");
}

TEST_F(RegistryTest, WritingIsRefused) {
  for (const auto* method : {"DELETE", "PUT", "POST", "PATCH"}) {
    auto answer = ask("/v2/app/manifests/v1", method);
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(code_of(answer), "UNSUPPORTED");
    EXPECT_EQ(answer.headers["allow"], "GET, HEAD");
  }
}

TEST_F(RegistryTest, WholeBlob) {
  auto answer = ask(layer_path());
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(Digest::of(answer.body), layer().digest);
  EXPECT_EQ(answer.headers["accept-ranges"], "bytes");
}

TEST_F(RegistryTest, RangesOfABlob) {
  const auto size = layer().size;
  const auto range = [&](const std::string& text) {
    return ask(layer_path(), "GET", {{"Range", text}});
  };
  auto first = range("bytes=0-99");
  EXPECT_EQ(first.status, 206);
  EXPECT_EQ(first.body, layer_bytes(0, 100));
  EXPECT_EQ(first.headers["content-range"], "bytes 0-99/" + std::to_string(size));
  EXPECT_EQ(range("bytes=1000-").body, layer_bytes(1000, size));
  EXPECT_EQ(range("bytes=-10").body, layer_bytes(size - 10, 10));
  EXPECT_EQ(range("bytes=-99999999999").body, layer_bytes(0, size));
  EXPECT_EQ(range("bytes=5-99999999999").body, layer_bytes(5, size));
  // Not understood or several at once: the whole (RFC 9110 section 14.2 allows it).
  EXPECT_EQ(range("bytes=9-5").status, 200);
  EXPECT_EQ(range("bytes=0-1,5-6").status, 200);
  EXPECT_EQ(range("lines=0-1").status, 200);
}

TEST_F(RegistryTest, RangesBehindTheEndAreNotSatisfiable) {
  const auto size = std::to_string(layer().size);
  for (const auto& text : {"bytes=" + size + "-", std::string("bytes=-0")}) {
    auto answer = ask(layer_path(), "GET", {{"Range", text}});
    EXPECT_EQ(answer.status, 416) << text;
    EXPECT_EQ(answer.headers["content-range"], "bytes */" + size);
  }
}

TEST_F(RegistryTest, TagsComeSortedAndInPages) {
  const auto tags = [](const HttpResponse& answer) {
    return (*parse_json(answer.body, "tags"))["tags"].get<std::vector<std::string>>();
  };
  const std::string list = "/v2/app/tags/list?ns=registry.k8s.io";
  EXPECT_THAT(tags(ask(list)), ElementsAre("v1", "v2", "v3"));
  auto page = ask(list + "&n=2");
  EXPECT_THAT(tags(page), ElementsAre("v1", "v2"));
  EXPECT_THAT(page.headers["link"], HasSubstr("last=v2"));
  EXPECT_THAT(page.headers["link"], HasSubstr("ns=registry.k8s.io"));
  auto rest = ask(list + "&n=2&last=v2");
  EXPECT_THAT(tags(rest), ElementsAre("v3"));
  EXPECT_FALSE(rest.headers.contains("link"));
  EXPECT_THAT(tags(ask(list + "&n=0")), IsEmpty());
  EXPECT_EQ(ask(list + "&n=x").status, 400);
}

TEST_F(RegistryTest, ReferrersAreAnEmptyIndex) {
  const auto path = "/v2/app/referrers/" + reader_->header().images[0].digest.str();
  auto answer = ask(path + "?ns=registry.k8s.io&artifactType=x");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers["content-type"], "application/vnd.oci.image.index.v1+json");
  EXPECT_EQ(answer.headers["oci-filters-applied"], "artifactType");
  EXPECT_THAT((*parse_json(answer.body, "index"))["manifests"], IsEmpty());
}

}  // namespace
}  // namespace bedplate::bundle_test

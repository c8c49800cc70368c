// Signatures and SBOMs in the hands of other people's programs: a registry that holds them, a
// validator that reads ours.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "airgap-bundle/supply/sbom.hpp"
#include "airgap-bundle/tests/layout.hpp"
#include "airgap-bundle/tests/programs.hpp"
#include "core/http_client.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

/// Debian's docker-registry with what a test pushes to it. It has no referrers API: what refers to
/// an image is found by tags.
class SignedRegistryTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    const auto daemon = program("docker-registry");
    ASSERT_TRUE(daemon) << "needs docker-registry";
    port_ = free_port();
    write(folder() / "registry.yml",
          fmt::format("version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n"
                      "http: {{addr: '127.0.0.1:{}'}}\n",
                      (folder() / "registry").string(), port_));
    registry_.emplace(
        std::vector{*daemon, std::string("serve"), (folder() / "registry.yml").string()},
        folder() / "registry.log");
    ASSERT_TRUE(wait_for_port(port_)) << *read_file(folder() / "registry.log");
    layout_.emplace(folder() / "layout");
    write(folder() / "team.pub", signer_.public_pem());
    spec_ = fmt::format(
        "kind: Bundle\nname: a\nversion: '1'\nimages:\n  - {{name: 'r.example/team/app:1', source: "
        "'registry:{}/team/app:1', plainHTTP: true}}\n"
        "policy:\n  - {{images: 'r.example/**', keys: [team.pub]}}\n",
        where());
  }

  std::string where() const { return fmt::format("127.0.0.1:{}", port_); }

  HttpResponse send(HttpRequest request) {
    request.url = request.url.starts_with('/') ? "http://" + where() + request.url : request.url;
    auto response = http_->send(request);
    EXPECT_TRUE(response) << response.error().render();
    EXPECT_LT(response->status, 300) << request.method << " " << request.url << response->body;
    return response ? *response : HttpResponse{};
  }

  void push_blob(const Json& descriptor) {
    HttpRequest begin;
    begin.method = "POST";
    begin.url = "/v2/team/app/blobs/uploads/";
    auto location = send(begin).headers["location"];
    HttpRequest put;
    put.method = "PUT";
    put.url =
        fmt::format("{}{}digest={}", location, location.find('?') == std::string::npos ? '?' : '&',
                    Layout::digest(descriptor));
    put.body = *read_file(layout_->blob(descriptor));
    put.headers = {{"Content-Type", "application/octet-stream"}};
    send(put);
  }

  /// A manifest or index with everything that it needs, under a tag or its digest.
  void push(const Json& descriptor, const std::string& tag = "") {
    const auto text = *read_file(layout_->blob(descriptor));
    const auto value = *parse_json(text, "manifest");
    for (const auto& child : value.value("manifests", Json::array())) push(child);
    if (value.contains("config")) push_blob(value["config"]);
    for (const auto& layer : value.value("layers", Json::array())) push_blob(layer);
    HttpRequest put;
    put.method = "PUT";
    put.url = "/v2/team/app/manifests/" + (tag.empty() ? Layout::digest(descriptor) : tag);
    put.body = text;
    put.headers = {{"Content-Type", descriptor["mediaType"].get<std::string>()}};
    send(put);
  }

  std::uint16_t port_ = 0;
  std::unique_ptr<HttpClient> http_ = make_http_client();
  std::optional<Background> registry_;
  std::optional<Layout> layout_;
  Signer signer_ = Signer::ecdsa();
};

TEST_F(SignedRegistryTest, CosignsTagsAreFoundCheckedAndCarried) {
  const auto image = layout_->image("amd64");
  const auto index = layout_->index({image, layout_->image("arm64")});
  push(index, "1");
  const auto unsigned_image = try_create(file());
  ASSERT_FALSE(unsigned_image);
  EXPECT_EQ(unsigned_image.error().kind, ErrorKind::untrusted);
  EXPECT_THAT(unsigned_image.error().what, HasSubstr("nothing signed hangs on it"));

  push(layout_->signature(Signer::ecdsa(),
                          simple_payload(Layout::digest(index), "r.example/team/app")),
       Layout::tag(index, ".sig"));
  EXPECT_FALSE(try_create(file()));
  // The source's own name is one that the signer may have meant, too.
  const auto signature =
      layout_->signature(signer_, simple_payload(Layout::digest(index), where() + "/team/app"));
  push(signature, Layout::tag(index, ".sig"));
  const auto header = try_create(file());
  ASSERT_OK(header);
  ASSERT_THAT(header->referrers, SizeIs(1));
  EXPECT_EQ(header->referrers[0].digest.str(), Layout::digest(signature));
  EXPECT_EQ(header->referrers[0].tag, Layout::tag(index, ".sig"));
  EXPECT_EQ(header->referrers[0].repository, "r.example/team/app");
  ASSERT_OK(open(file())->verify(nullptr));
}

TEST_F(SignedRegistryTest, TheFallbackTagListsSigstoreBundles) {
  const auto image = layout_->image("amd64");
  push(image, "1");
  const std::string type = "application/vnd.dev.sigstore.bundle.v0.3+json";
  const auto body = statement(Layout::digest(image), "https://sigstore.dev/cosign/sign/v1");
  const auto bundle =
      layout_->referrer(image, type, sigstore_bundle(envelope(signer_, body)), type);
  push(layout_->index(Json::array({bundle})), Layout::tag(image, ""));
  const auto header = try_create(file());
  ASSERT_OK(header);
  ASSERT_THAT(header->referrers, SizeIs(1));
  EXPECT_EQ(header->referrers[0].digest.str(), Layout::digest(bundle));
  EXPECT_EQ(header->referrers[0].artifact_type, type);
  ASSERT_OK(open(file())->verify(nullptr));
}

/// The public validator, from its package registry into a folder that later runs find again.
class ValidatorTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    const auto home = cache_directory() / "test-tools" / "spdx-tools-0.8.5";
    ASSERT_OK(make_directories(home.parent_path()));
    const auto lock = FileLock::acquire(home.string() + ".lock", true);
    ASSERT_OK(lock);
    python_ = (home / "bin/python").string();
    if (fs::exists(home / "complete")) return;
    ASSERT_OK(remove_tree(home));
    const auto python = program("python3");
    ASSERT_TRUE(python) << "needs python3 with venv";
    run({*python, "-m", "venv", home.string()});
    run({python_, "-m", "pip", "install", "--quiet", "spdx-tools==0.8.5"});
    if (!HasFailure()) write(home / "complete", "");
  }

  ProcessResult validate(const Json& document) {
    write(folder() / "site.spdx.json", document.dump());
    Command command;
    command.argv = {python_,    "-m", "spdx_tools.spdx.clitools.pyspdxtools", "--version",
                    "SPDX-2.3", "-i", (folder() / "site.spdx.json").string()};
    auto result = SystemProcessRunner().run(command);
    EXPECT_TRUE(result) << result.error().render();
    return result ? *result : ProcessResult{};
  }

  std::string python_;
};

TEST_F(ValidatorTest, AcceptsTheBundlesDocument) {
  Layout layout(folder() / "layout");
  const auto image = layout.image("amd64");
  layout.add(image, "app")
      .add(layout.referrer(image, "application/spdx+json", "a bill"))
      .add(layout.signature(Signer::ecdsa(), simple_payload(Layout::digest(image), "r.example/a")),
           Layout::tag(image, ".sig"));
  spec_.insert(spec_.find("files:"), "  - {name: 'r.example/a:1', source: 'oci:layout:app'}\n");
  create(file());
  const auto reader = open(file());
  ASSERT_OK(reader);
  auto document = supply::spdx_document(*reader);
  ASSERT_OK(document);
  const auto result = validate(*document);
  EXPECT_EQ(result.status, 0) << result.out << result.err;
  // It does look: a package without a location is not accepted.
  (*document)["packages"][0].erase("downloadLocation");
  EXPECT_NE(validate(*document).status, 0);
}

}  // namespace
}  // namespace bedplate::bundle_test

// Bundles in the hands of umoci, crane and oras.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "airgap-bundle/registry/server.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/programs.hpp"
#include "core/json.hpp"
#include "core/text.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;

constexpr auto name = "registry.example/team/app:1.0";

class ClientsTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    create(file());
    serve();
  }

  /// Serves the bundle from now on.
  void serve() {
    server_.reset();
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

  /// An OCI layout "gzip" with the image as "app", for programs that do not know zstd.
  void make_gzip_layout() {
    const auto skopeo = program("skopeo");
    ASSERT_TRUE(skopeo) << "apt-get install skopeo";
    const auto plain = "dir:" + (folder() / "plain").string();
    run({*skopeo, "copy", "--dest-decompress",
         fmt::format("oci-archive:{}:{}", file().string(), name), plain});
    run({*skopeo, "copy", "--dest-compress-format", "gzip", plain,
         fmt::format("oci:{}:app", (folder() / "gzip").string())});
  }

  std::string served() const { return fmt::format("127.0.0.1:{}", server_->port()); }
  const Digest& digest() const { return reader_->header().images[0].digest; }

  std::optional<bundle::Reader> reader_;
  std::optional<registry::BundleRegistry> registry_;
  std::unique_ptr<HttpServer> server_;
};

/// umoci wants a folder, which tar makes of the file as it is, and unpacks gzip only.
TEST_F(ClientsTest, UmociListsAndUnpacks) {
  const auto umoci = program("umoci");
  ASSERT_TRUE(umoci) << "apt-get install umoci";
  const auto layout = folder() / "layout";
  fs::create_directories(layout);
  run({"tar", "-xf", file().string(), "-C", layout.string()});
  EXPECT_THAT(run({*umoci, "list", "--layout", layout.string()}), HasSubstr(name));
  make_gzip_layout();
  run({*umoci, "unpack", "--rootless", "--image", (folder() / "gzip").string() + ":app",
       (folder() / "unpacked").string()});
  EXPECT_TRUE(fs::exists(folder() / "unpacked/rootfs/bin/hello"));
}

TEST_F(ClientsTest, CranePulls) {
  const auto crane = built_client("crane");
  const auto image = fmt::format("{}/{}", served(), name);
  EXPECT_EQ(trimmed(run({crane, "digest", "--insecure", image})), digest().str());
  EXPECT_THAT(
      run({crane, "ls", "--insecure", fmt::format("{}/registry.example/team/app", served())}),
      HasSubstr("1.0"));
  const auto layout = folder() / "crane";
  run({crane, "pull", "--insecure", "--format=oci", image, layout.string()});
  EXPECT_TRUE(fs::exists(layout / "blobs/sha256" / digest().hex()));
}

/// It reads every byte and compares digests and diff_ids; it does not know zstd.
TEST_F(ClientsTest, CraneValidatesAnImageWithGzip) {
  const auto crane = built_client("crane");
  make_gzip_layout();
  spec_ = fmt::format(
      "kind: Bundle\nname: gzip\nversion: '1'\nimages:\n"
      "  - {{name: '{}', source: 'oci:gzip:app'}}\n",
      name);
  create(file());
  serve();
  run({crane, "validate", "--insecure", "--remote", fmt::format("{}/{}", served(), name)});
}

TEST_F(ClientsTest, OrasCopiesDiscoversAndReadsArtifacts) {
  const auto oras = built_client("oras");
  const auto image = fmt::format("{}/{}", served(), name);
  const auto layout = folder() / "oras";
  run({oras, "copy", "--from-plain-http", image, "--to-oci-layout", layout.string() + ":app"});
  EXPECT_TRUE(fs::exists(layout / "blobs/sha256" / digest().hex()));
  EXPECT_THAT(run({oras, "discover", "--plain-http", image}), HasSubstr(digest().str()));
  const auto& artifact = reader_->header().artifacts.at(0);
  const auto manifest = parse_json(
      run({oras, "manifest", "fetch", "--plain-http",
           fmt::format("{}/localhost/bedplate/{}:{}", served(), artifact.name, artifact.version)}),
      "manifest");
  ASSERT_OK(manifest);
  EXPECT_EQ((*manifest)["artifactType"], "application/vnd.bedplate.files.v1");
}

}  // namespace
}  // namespace bedplate::bundle_test

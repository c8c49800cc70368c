// What other people's programs make of a bundle, and what Bedplate makes of what they write.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/registry/server.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/layout.hpp"
#include "airgap-bundle/tests/programs.hpp"
#include "core/digest.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;

constexpr auto name = "registry.example/team/app:1.0";

class PeerTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    create(file());
    auto opened = open(file());
    ASSERT_OK(opened);
    reader_.emplace(std::move(*opened));
  }

  /// Serves the bundle; the answer is "127.0.0.1:<port>".
  std::string serve() {
    auto made = registry::BundleRegistry::create(*reader_);
    EXPECT_TRUE(made);
    registry_.emplace(std::move(*made));
    auto started = HttpServer::start(*Ipv4::parse("127.0.0.1"), 0, [this](const auto& request) {
      return registry_->handle(request);
    });
    EXPECT_TRUE(started);
    server_ = std::move(*started);
    return fmt::format("127.0.0.1:{}", server_->port());
  }

  /// A bundle of one image from another source.
  bundle::Header create_from(const std::string& source, const std::string& more = "") {
    spec_ = fmt::format(
        "kind: Bundle\nname: copy\nversion: '1'\nimages:\n"
        "  - {{name: 'registry.example/team/app:1.0', source: '{}'{}}}\n",
        source, more);
    const auto header = try_create(folder() / "copy.bundle");
    EXPECT_TRUE(header) << header.error().render();
    const auto copy = open(folder() / "copy.bundle");
    EXPECT_TRUE(copy && copy->verify(nullptr));
    return header ? *header : bundle::Header{};
  }

  static Json diff_ids(const bundle::Reader& reader) {
    const auto manifest = parse_json(*reader.blob(reader.header().images[0].digest), "manifest");
    const auto config = Digest::parse((*manifest)["config"]["digest"].get<std::string>());
    return (*parse_json(*reader.blob(*config), "config"))["rootfs"]["diff_ids"];
  }

  std::string archive() const { return fmt::format("oci-archive:{}:{}", file().string(), name); }
  const Digest& digest() const { return reader_->header().images[0].digest; }

  std::optional<bundle::Reader> reader_;
  std::optional<registry::BundleRegistry> registry_;
  std::unique_ptr<HttpServer> server_;
};

#define NEEDS(variable, expression, what) \
  const auto variable = (expression);     \
  if (!variable) GTEST_SKIP() << "needs " << (what)

TEST_F(PeerTest, TarListsEveryEntry) {
  const auto listed = run({"tar", "-tf", file().string()});
  for (const auto& entry : reader_->header().entries) EXPECT_THAT(listed, HasSubstr(entry.path));
}

TEST_F(PeerTest, SkopeoReadsTheFileAsItIs) {
  NEEDS(skopeo, program("skopeo"), "skopeo");
  const auto text = run({*skopeo, "inspect", archive()});
  EXPECT_THAT(text, HasSubstr(digest().str()));
}

TEST_F(PeerTest, SkopeoCopiesFromTheRegistryWithEqualDigests) {
  NEEDS(skopeo, program("skopeo"), "skopeo");
  const auto to = folder() / "layout";
  run({*skopeo, "copy", "--preserve-digests", "--src-tls-verify=false",
       fmt::format("docker://{}/{}", serve(), name), fmt::format("oci:{}:app", to.string())});
  EXPECT_TRUE(fs::exists(to / "blobs/sha256" / digest().hex()));
}

TEST_F(PeerTest, LayoutThatSkopeoWroteKeepsItsDigests) {
  NEEDS(skopeo, program("skopeo"), "skopeo");
  const auto to = folder() / "layout";
  run({*skopeo, "copy", "--preserve-digests", archive(), "oci:" + to.string() + ":app"});
  EXPECT_EQ(create_from("oci:layout:app").images[0].digest, digest());
  // There is only one image: its name may be left out.
  EXPECT_EQ(create_from("oci:layout").images[0].digest, digest());
}

TEST_F(PeerTest, ArchiveThatSkopeoWroteKeepsItsDigests) {
  NEEDS(skopeo, program("skopeo"), "skopeo");
  const auto to = folder() / "image.tar";
  run({*skopeo, "copy", "--preserve-digests", archive(), "oci-archive:" + to.string() + ":app"});
  EXPECT_EQ(create_from("oci-archive:image.tar:app").images[0].digest, digest());
}

TEST_F(PeerTest, DockerArchiveThatSkopeoWroteKeepsItsLayers) {
  NEEDS(skopeo, program("skopeo"), "skopeo");
  const auto to = folder() / "docker.tar";
  const auto plain = (folder() / "plain").string();
  // Docker's format has no zstd, and skopeo does not unpack on the way to it.
  run({*skopeo, "copy", "--dest-decompress", archive(), "dir:" + plain});
  run({*skopeo, "copy", "dir:" + plain, "docker-archive:" + to.string() + ":app:1"});
  create_from("docker-archive:docker.tar:app:1");
  const auto copy = open(folder() / "copy.bundle");
  ASSERT_OK(copy);
  EXPECT_EQ(diff_ids(*copy), diff_ids(*reader_));
}

TEST_F(PeerTest, DockerRegistryIsASource) {
  NEEDS(skopeo, program("skopeo"), "skopeo");
  NEEDS(daemon, program("docker-registry"), "docker-registry");
  const auto port = free_port();
  write(folder() / "registry.yml",
        fmt::format("version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n"
                    "http: {{addr: '127.0.0.1:{}'}}\n",
                    (folder() / "registry").string(), port));
  const Background registry({*daemon, "serve", (folder() / "registry.yml").string()},
                            folder() / "registry.log");
  ASSERT_TRUE(wait_for_port(port)) << *read_file(folder() / "registry.log");
  const auto where = fmt::format("127.0.0.1:{}/team/app:1.0", port);
  run({*skopeo, "copy", "--preserve-digests", "--dest-tls-verify=false", archive(),
       "docker://" + where});
  EXPECT_EQ(create_from("registry:" + where, ", plainHTTP: true").images[0].digest, digest());
  const auto by_digest = fmt::format("127.0.0.1:{}/team/app@{}", port, digest().str());
  EXPECT_EQ(create_from("registry:" + by_digest, ", plainHTTP: true").images[0].digest, digest());

  // The tag moves on after the lock was written: what is locked is still what is taken.
  const auto parsed = collect::parse_spec(
      fmt::format("kind: Bundle\nname: copy\nversion: '1'\nimages:\n"
                  "  - {{name: '{}', source: 'registry:{}', plainHTTP: true}}\n",
                  name, where),
      "bundle.yaml");
  ASSERT_OK(parsed);
  SystemProcessRunner runner;
  const auto lock = collect::resolve(*parsed, folder(), "", runner, nullptr);
  ASSERT_OK(lock);
  EXPECT_EQ(lock->images.at(name).manifest, digest());
  run({*skopeo, "copy", "--preserve-digests", "--dest-tls-verify=false",
       fmt::format("oci-archive:{}:docker.io/library/app:1.0", file().string()),
       "docker://" + where});
  EXPECT_NE(create_from("registry:" + where, ", plainHTTP: true").images[0].digest, digest());
  lock_ = *lock;
  EXPECT_EQ(create_from("registry:" + where, ", plainHTTP: true").images[0].digest, digest());
  lock_.reset();

  spec_ = fmt::format(
      "kind: Bundle\nname: a\nversion: '1'\nimages:\n  - {{name: '{}', source: "
      "'registry:127.0.0.1:{}/team/app:missing', plainHTTP: true}}\n",
      name, port);
  const auto missing = try_create(folder() / "missing.bundle");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_FALSE(fs::exists(folder() / "missing.bundle"));
}

TEST_F(PeerTest, DockerRegistryWithAnAccountIsASource) {
  NEEDS(skopeo, program("skopeo"), "skopeo");
  NEEDS(daemon, program("docker-registry"), "docker-registry");
  const auto port = free_port();
  write(folder() / "htpasswd",
        "me:$2b$04$6DV.RNjXCMAmQxS3Lq6U5eOYsP7B/5GOiIMMaUgnd8./xwba.6fR.\n");  // "pass word"
  write(folder() / "registry.yml",
        fmt::format("version: 0.1\nstorage: {{filesystem: {{rootdirectory: {0}/registry}}}}\n"
                    "auth: {{htpasswd: {{realm: test, path: {0}/htpasswd}}}}\n"
                    "http: {{addr: '127.0.0.1:{1}'}}\n",
                    folder().string(), port));
  const Background registry({*daemon, "serve", (folder() / "registry.yml").string()},
                            folder() / "registry.log");
  ASSERT_TRUE(wait_for_port(port)) << *read_file(folder() / "registry.log");
  const auto where = fmt::format("127.0.0.1:{}/team/app:1.0", port);
  const auto logins = [&](const std::string& login) {
    write(folder() / "auth.json",
          fmt::format(R"({{"auths": {{"127.0.0.1:{}": {{"auth": "{}"}}}}}})", port,
                      base64_encode(login)),
          0600);
  };
  ::setenv("REGISTRY_AUTH_FILE", (folder() / "auth.json").c_str(), 1);
  logins("me:pass word");
  run({*skopeo, "copy", "--preserve-digests", "--dest-tls-verify=false", archive(),
       "docker://" + where});
  EXPECT_EQ(create_from("registry:" + where, ", plainHTTP: true").images[0].digest, digest());
  logins("me:wrong");
  spec_ = fmt::format(
      "kind: Bundle\nname: a\nversion: '1'\nimages:\n  - {{name: '{}', source: 'registry:{}', "
      "plainHTTP: true}}\n",
      name, where);
  const auto refused = try_create(folder() / "refused.bundle");
  ::unsetenv("REGISTRY_AUTH_FILE");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::untrusted);
}

/// containerd with a root and a socket of its own.
class ContainerdTest : public PeerTest {
 protected:
  void SetUp() override {
    PeerTest::SetUp();
    const auto containerd = payload_program("containerd");
    const auto ctr = payload_program("ctr");
    if (!containerd || !ctr) GTEST_SKIP() << "needs containerd: run qemu-tests/payload/build";
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: containerd makes snapshots";
    const auto home = folder() / "containerd";
    fs::create_directories(home);
    write(home / "config.toml",
          fmt::format("version = 3\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n"
                      "disabled_plugins = [\"io.containerd.cri.v1.images\", "
                      "\"io.containerd.cri.v1.runtime\", \"io.containerd.grpc.v1.cri\"]\n"
                      "[grpc]\n  address = \"{0}/socket\"\n[ttrpc]\n  address = \"{0}/ttrpc\"\n",
                      home.string()));
    daemon_.emplace(std::vector{*containerd, std::string("-c"), (home / "config.toml").string()},
                    home / "log");
    ctr_ = {*ctr, "-a", (home / "socket").string(), "-n", "k8s.io"};
    for (int i = 0; i < 200 && !fs::exists(home / "socket"); ++i) ::usleep(100'000);
  }

  std::string ctr(const std::vector<std::string>& words) {
    auto argv = ctr_;
    argv.insert(argv.end(), words.begin(), words.end());
    return run(std::move(argv));
  }

  /// Everything that the bundle's images refer to is in containerd's store.
  void expect_images() {
    const auto listed = ctr({"images", "ls"});
    for (const auto& image : reader_->header().images) {
      EXPECT_THAT(listed, HasSubstr(image.name));
      EXPECT_THAT(listed, HasSubstr(image.digest.str()));
    }
    const auto checked = ctr({"images", "check"});
    EXPECT_THAT(checked, HasSubstr("complete"));
    EXPECT_THAT(checked, ::testing::Not(HasSubstr("incomplete")));
  }

  std::optional<Background> daemon_;
  std::vector<std::string> ctr_;
};

TEST_F(ContainerdTest, ImportsTheFileAsItIsAndUnpacksTheImages) {
  ctr({"images", "import", "--local", "--snapshotter", "native", file().string()});
  expect_images();
  // Artifacts are no images: containerd drops their content again.
  EXPECT_THAT(ctr({"images", "ls", "-q"}), ::testing::Not(HasSubstr("tools")));
}

TEST_F(ContainerdTest, ImportsThroughTheTransferService) {
  ctr({"images", "import", "--no-unpack", file().string()});
  expect_images();
}

TEST_F(ContainerdTest, PullsThroughAMirrorByTheImagesOwnName) {
  const auto where = serve();
  for (const auto* upstream : {"registry.example", "docker.io"}) {
    write(folder() / "hosts" / upstream / "hosts.toml",
          fmt::format("server = \"http://{0}\"\n[host.\"http://{0}\"]\n"
                      "  capabilities = [\"pull\", \"resolve\"]\n",
                      where));
  }
  for (const auto& image : reader_->header().images) {
    ctr({"images", "pull", "--local", "--snapshotter", "native", "--hosts-dir",
         (folder() / "hosts").string(), image.name});
  }
  expect_images();
}

/// An image of two platforms, of which the bundle has one.
TEST_F(ContainerdTest, TakesAnImageByTheDigestOfItsIndex) {
  NEEDS(skopeo, program("skopeo"), "skopeo");
  const auto layout = folder() / "two-platforms";
  run({*skopeo, "copy", "--preserve-digests", archive(), "oci:" + layout.string() + ":app"});
  const auto manifest = reader_->blob(digest()).value();
  const auto child = [&](const std::string& architecture, const Digest& of, std::size_t size) {
    return Json{{"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                {"digest", of.str()},
                {"size", size},
                {"platform", {{"os", "linux"}, {"architecture", architecture}}}};
  };
  const auto index = Json{
      {"schemaVersion", 2},
      {"mediaType", "application/vnd.oci.image.index.v1+json"},
      {"manifests",
       {child("amd64", digest(), manifest.size()),
        child("arm64", Digest::of(std::string_view("absent")),
              1234)}}}.dump();
  write(layout / "blobs/sha256" / Digest::of(index).hex(), index);
  write(layout / "index.json",
        Json{{"schemaVersion", 2},
             {"manifests",
              {{{"mediaType", "application/vnd.oci.image.index.v1+json"},
                {"digest", Digest::of(index).str()},
                {"size", index.size()},
                {"annotations", {{"org.opencontainers.image.ref.name", "app"}}}}}}}
            .dump());
  const auto header = create_from("oci:two-platforms:app");
  ASSERT_EQ(header.images[0].index, Digest::of(index));
  EXPECT_EQ(header.images[0].digest, digest());

  auto opened = open(folder() / "copy.bundle");
  ASSERT_OK(opened);
  reader_.emplace(std::move(*opened));
  ctr({"images", "import", "--local", "--snapshotter", "native", reader_->path().string()});
  expect_images();
  const auto where = serve();
  write(folder() / "hosts/registry.example/hosts.toml",
        fmt::format("server = \"http://{0}\"\n[host.\"http://{0}\"]\n"
                    "  capabilities = [\"pull\", \"resolve\"]\n",
                    where));
  const auto by_index = "registry.example/team/app@" + Digest::of(index).str();
  // As kubelet's pulls do it: ctr by itself would also take the manifests of other platforms.
  ctr({"images", "pull", "--local", "--skip-metadata", "--snapshotter", "native", "--hosts-dir",
       (folder() / "hosts").string(), by_index});
  EXPECT_THAT(ctr({"images", "ls"}), HasSubstr(by_index));
}

/// Images of two platforms with BuildKit's attestations and a signature about them.
class AttestedTest : public ContainerdTest {
 protected:
  void SetUp() override {
    ContainerdTest::SetUp();
    if (IsSkipped()) return;
    const auto skopeo = program("skopeo");
    if (!skopeo) GTEST_SKIP() << "needs skopeo";
    spec_ =
        "kind: Bundle\nname: two\nversion: '1'\nimages:\n"
        "  - {name: 'r.example/a:amd64', source: 'rootfs:app', platform: linux/amd64}\n"
        "  - {name: 'r.example/a:arm64', source: 'rootfs:app', platform: linux/arm64}\n";
    create(folder() / "two.bundle");
    const auto two = open(folder() / "two.bundle");
    ASSERT_OK(two);
    const auto to = folder() / "attested";
    Json children = Json::array();
    for (const std::string architecture : {"amd64", "arm64"}) {
      run({*skopeo, "copy", "--preserve-digests",
           fmt::format("oci-archive:{}/two.bundle:r.example/a:{}", folder().string(), architecture),
           "oci:" + to.string() + ":" + architecture});
      const auto& entry = two->header().images[children.size()];
      children.push_back({{"mediaType", entry.media_type},
                          {"digest", entry.digest.str()},
                          {"size", two->header().find(entry.digest)->size},
                          {"platform", {{"os", "linux"}, {"architecture", architecture}}}});
    }
    Layout layout(to);
    for (const auto* about : {"amd64", "arm64"}) {
      const auto& child = children[std::string(about) == "amd64" ? 0 : 1];
      children.push_back(layout.attestation(child, std::string("how it was built: ") + about));
    }
    auto absent = children[0];
    absent["digest"] = Digest::of(std::string_view("absent")).str();
    absent["platform"]["architecture"] = "s390x";
    children.push_back(absent);
    index_ = layout.index(children);
    layout.add(index_, "app")
        .add(layout.signature(Signer::ecdsa(),
                              simple_payload(Layout::digest(index_), "r.example/a")),
             Layout::tag(index_, ".sig"));
  }

  void take(const std::string& platforms, std::size_t referrers) {
    const auto header = create_from("oci:attested:app", ", " + platforms);
    EXPECT_EQ(header.referrers.size(), referrers);
    auto opened = open(folder() / "copy.bundle");
    ASSERT_OK(opened);
    reader_.emplace(std::move(*opened));
  }

  Json index_;
};

TEST_F(AttestedTest, ImportsOnePlatformWithWhatRefersToIt) {
  take("platform: linux/amd64", 2);
  ctr({"images", "import", "--local", "--snapshotter", "native", reader_->path().string()});
  expect_images();
  ctr({"images", "rm", "--sync", name});
  ctr({"images", "import", "--no-unpack", reader_->path().string()});
  expect_images();
}

TEST_F(AttestedTest, ImportsSeveralPlatformsByTheirIndex) {
  take("platforms: [linux/amd64, linux/arm64]", 3);
  ASSERT_EQ(reader_->header().images[0].digest.str(), Layout::digest(index_));
  ctr({"images", "import", "--local", "--snapshotter", "native", reader_->path().string()});
  expect_images();
  ctr({"images", "rm", "--sync", name});
  ctr({"images", "import", "--no-unpack", "--platform", "linux/amd64", reader_->path().string()});
  expect_images();
}

TEST_F(AttestedTest, PullsEitherPlatformByTheTag) {
  take("platforms: [linux/amd64, linux/arm64]", 3);
  const auto where = serve();
  write(folder() / "hosts/registry.example/hosts.toml",
        fmt::format("server = \"http://{0}\"\n[host.\"http://{0}\"]\n"
                    "  capabilities = [\"pull\", \"resolve\"]\n",
                    where));
  for (const auto* platform : {"linux/amd64", "linux/arm64"}) {
    // As kubelet's pulls do it: ctr by itself would also take manifests that nobody wants.
    ctr({"images", "pull", "--local", "--skip-metadata", "--platform", platform, "--snapshotter",
         "native", "--hosts-dir", (folder() / "hosts").string(), name});
    EXPECT_THAT(ctr({"images", "ls"}), HasSubstr(Layout::digest(index_)));
  }
}

}  // namespace
}  // namespace bedplate::bundle_test

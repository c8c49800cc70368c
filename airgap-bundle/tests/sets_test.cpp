// The circle between a site and those who make bundles for it: a registry of other people's is
// written down, and a bundle brings only what it lacks.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "airgap-bundle/collect/create.hpp"
#include "airgap-bundle/sets/addition.hpp"
#include "airgap-bundle/sets/delta.hpp"
#include "airgap-bundle/sets/inventory.hpp"
#include "airgap-bundle/sets/part_set.hpp"
#include "airgap-bundle/sets/split.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/programs.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

constexpr auto name = "registry.example/team/app:1.0";

class SiteTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    const auto daemon = program("docker-registry");
    skopeo_ = program("skopeo").value_or("");
    if (!daemon || skopeo_.empty()) GTEST_SKIP() << "needs docker-registry and skopeo";
    create(file());
    port_ = free_port();
    write(folder() / "registry.yml",
          fmt::format("version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n"
                      "http: {{addr: '{}'}}\n",
                      (folder() / "registry").string(), host()));
    registry_.emplace(
        std::vector<std::string>{*daemon, "serve", (folder() / "registry.yml").string()},
        folder() / "registry.log");
    ASSERT_TRUE(wait_for_port(port_)) << *read_file(folder() / "registry.log");
    access_.set(host(), {true, {}, {}});
  }

  std::string host() const { return fmt::format("127.0.0.1:{}", port_); }
  void push(const std::string& image, const std::string& to) {
    run({skopeo_, "copy", "--preserve-digests", "--dest-tls-verify=false",
         fmt::format("oci-archive:{}:{}", file().string(), image),
         fmt::format("docker://{}/{}", host(), to)});
  }
  sets::Inventory walk() {
    sets::Inventory out;
    const auto done = sets::add_registry(out, host(), access_, nullptr);
    EXPECT_TRUE(done) << done.error().render();
    return out;
  }
  Digest digest_of(const std::string& image) const {
    const auto reader = open(file());
    for (const auto& entry : reader->header().images) {
      if (entry.name == image) return entry.digest;
    }
    return {};
  }

  std::string skopeo_;
  std::uint16_t port_ = 0;
  std::optional<Background> registry_;
  SystemProcessRunner helpers_;
  registry::Access access_{helpers_};
};

TEST_F(SiteTest, DockerRegistryIsWrittenDownByItsTags) {
  EXPECT_TRUE(walk().blobs.empty());
  push(name, "team/app:1.0");
  push("docker.io/library/app:1.0", "library/app:1.0");
  push("docker.io/library/app:1.0", "library/app:2.0");
  const auto found = walk();
  EXPECT_EQ(found.images, (std::map<std::string, Digest>{
                              {host() + "/library/app:1.0", digest_of("docker.io/library/app:1.0")},
                              {host() + "/library/app:2.0", digest_of("docker.io/library/app:1.0")},
                              {host() + "/team/app:1.0", digest_of(name)}}));
  // Two manifests, two configurations, the layer that both have.
  EXPECT_EQ(found.blobs.size(), 5U);
  const auto reader = open(file());
  for (const auto& [digest, size] : found.blobs) {
    const auto* entry = reader->header().find(digest);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->size, size);
  }
}

TEST_F(SiteTest, OneImageMoreBringsOnlyWhatTheRegistryLacks) {
  push(name, "team/app:1.0");
  const auto found = walk();
  push("docker.io/library/app:1.0", "library/other:1.0");

  const auto where = fmt::format("{}/library/other:1.0", host());
  const auto spec = sets::addition_spec(
      {{"docker.io/library/app:1.0"}, "registry:" + where, "linux/amd64", true, "addition", "1"});
  ASSERT_OK(spec);
  collect::CreateOptions options;
  options.root = folder();
  options.output = folder() / "add.bundle";
  options.have = found.blobs;
  const auto made = collect::create_bundle(*spec, options, key_, nullptr);
  ASSERT_OK(made);
  ASSERT_EQ(made->header.elsewhere.size(), 1U);
  EXPECT_LT(fs::file_size(options.output), 100'000U);
  ASSERT_OK(open(options.output)->verify(nullptr));
  // With what the site has, it is a bundle that skopeo reads.
  const std::vector keys{key_.public_key()};
  ASSERT_OK(sets::apply({options.output, {file()}, folder() / "full.bundle"}, keys, nullptr));
  const auto inspected = run({skopeo_, "inspect", "--raw",
                              fmt::format("oci-archive:{}:docker.io/library/app:1.0",
                                          (folder() / "full.bundle").string())});
  EXPECT_EQ(Digest::of(inspected), digest_of("docker.io/library/app:1.0"));
  run({skopeo_, "copy",
       fmt::format("oci-archive:{}:docker.io/library/app:1.0", (folder() / "full.bundle").string()),
       "oci:" + (folder() / "layout").string()});
}

using ProgramTest = BundleTest;

TEST_F(ProgramTest, APartByItselfIsComparedAndMachinesAreToldSo) {
  create(file());
  sets::SplitOptions options;
  options.bundle = file();
  options.to = folder() / "parts";
  options.part_size = 100'000;
  const auto plan = sets::split(options, std::vector{key_.public_key()}, nullptr);
  ASSERT_OK(plan);
  const auto part = options.to / sets::part_name("site.bundle", 2, plan->layout.count());
  Command command;
  command.argv = {BEDPLATE_PROGRAM, "--json", "bundle",  "verify",
                  "--alone",        part,     "--trust", key_.public_key().str()};
  SystemProcessRunner runner;
  const auto whole = runner.run(command);
  ASSERT_TRUE(whole);
  ASSERT_EQ(whole->status, 0) << whole->err;
  const auto said = parse_json(whole->out, "what verify prints");
  ASSERT_OK(said);
  EXPECT_EQ((*said)["undamaged"], Json::array({part.string()}));
  EXPECT_EQ((*said)["signatureChecked"], false);

  auto bytes = *read_file(part);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write(part, bytes);
  const auto damaged = runner.run(command);
  ASSERT_TRUE(damaged);
  EXPECT_EQ(damaged->status, exit_code(ErrorKind::corrupt));
  EXPECT_THAT(damaged->err + damaged->out, testing::HasSubstr(part.filename().string()));
}

}  // namespace
}  // namespace bedplate::bundle_test

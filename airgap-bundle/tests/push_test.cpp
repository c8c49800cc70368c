// Bundles pushed to a registry of other people, and what other people's programs find there.

#include "airgap-bundle/push/push.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airgap-bundle/collect/fetch.hpp"
#include "airgap-bundle/push/referrers.hpp"
#include "airgap-bundle/push/report.hpp"
#include "airgap-bundle/registry/client.hpp"
#include "airgap-bundle/tests/bundle_builder.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/programs.hpp"
#include "core/json.hpp"
#include "core/tls_fixture.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;

constexpr auto index_type = "application/vnd.oci.image.index.v1+json";
constexpr auto manifest_type = "application/vnd.oci.image.manifest.v1+json";

#define NEEDS(variable, expression, what) \
  const auto variable = (expression);     \
  if (!variable) GTEST_SKIP() << "needs " << (what)

std::uint64_t number_from(const char* variable, std::uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

/// Debian's docker-registry on a free port.
class PushTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    if (!program("docker-registry")) GTEST_SKIP() << "needs docker-registry";
    options_.uploads = folder() / "uploads";
  }

  void start(const std::string& more_http = {}, const std::string& more = {}) {
    const auto port = free_port();
    write(folder() / "registry.yml",
          fmt::format("version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\n"
                      "storage: {{filesystem: {{rootdirectory: {}/registry}}}}\n{}"
                      "http: {{addr: '127.0.0.1:{}', secret: test{}}}\n",
                      folder().string(), more, port, more_http));
    registry_.emplace(std::vector{*program("docker-registry"), std::string("serve"),
                                  (folder() / "registry.yml").string()},
                      folder() / "registry.log");
    ASSERT_TRUE(wait_for_port(port)) << *read_file(folder() / "registry.log");
    host_ = fmt::format("127.0.0.1:{}", port);
    options_.target = *push::Target::parse(host_ + "/k8s");
    access_.set(host_, {true, {}, {}});
  }

  Result<push::Outcome> push() {
    auto reader = open(file());
    if (!reader) return fail(reader.error());
    return push::push_bundle(*reader, options_, access_, false, nullptr);
  }
  void expect_pushed(const Result<push::Outcome>& outcome) {
    ASSERT_OK(outcome);
    const auto error = outcome->report.error(outcome->plan);
    EXPECT_FALSE(error) << error->render();
  }

  /// Reads everything that the bundle's images need out of the registry, with other eyes.
  void expect_everything_below(const std::string& prefix) {
    const auto reader = open(file());
    ASSERT_OK(reader);
    const auto http = make_http_client();
    for (const auto& image : reader->header().images) {
      auto target = push::Target{host_, prefix, false}.image(*oci::Reference::parse(image.name));
      registry::Client client(*http, target, {true, {}, nullptr});
      const auto manifest = client.manifest(target.tag);
      ASSERT_OK(manifest);
      ASSERT_EQ(Digest::of(manifest->content), image.digest) << target.str();
      const auto parsed = parse_json(manifest->content, "manifest");
      auto blobs = (*parsed)["layers"];
      blobs.push_back((*parsed)["config"]);
      for (const auto& blob : blobs) {
        const auto descriptor = oci::parse_descriptor(blob);
        ASSERT_OK(descriptor);
        Sha256 hash;
        ASSERT_OK(client.blob(*descriptor, [&](std::span<const std::byte> data) -> Result<void> {
          hash.update(data);
          return {};
        }));
        ASSERT_EQ(hash.finish(), descriptor->digest);
      }
    }
  }

  std::optional<Background> registry_;
  std::string host_;
  SystemProcessRunner runner_;
  registry::Access access_{runner_};
  push::Options options_;
};

TEST_F(PushTest, SkopeoFindsWhatWasPushedWithEqualDigests) {
  NEEDS(skopeo, program("skopeo"), "skopeo");
  start();
  create(file());
  options_.chunk = 64 << 10;  // so that layers go in pieces
  expect_pushed(push());
  const auto reader = open(file());
  ASSERT_OK(reader);
  const auto digest = reader->header().images[0].digest;
  const auto name = fmt::format("docker://{}/k8s/team/app:1.0", host_);
  EXPECT_THAT(run({*skopeo, "inspect", "--tls-verify=false", name}), HasSubstr(digest.str()));
  const auto layout = folder() / "layout";
  run({*skopeo, "copy", "--preserve-digests", "--src-tls-verify=false", name,
       "oci:" + layout.string() + ":app"});
  EXPECT_TRUE(fs::exists(layout / "blobs/sha256" / digest.hex()));
  const auto files = run({*skopeo, "inspect", "--raw", "--tls-verify=false",
                          fmt::format("docker://{}/k8s/artifacts/tools:v3", host_)});
  EXPECT_EQ(Digest::of(files), reader->header().artifacts[0].digest);
  const auto again = push();
  expect_pushed(again);
  EXPECT_EQ(again->report.sent_blobs, 0U);
}

TEST_F(PushTest, SparseIndexIsReportedAndReferrersAreListedUnderATag) {
  start();
  BundleBuilder bundle;
  const auto image = bundle.image({"layer"});
  const auto index = bundle.blob(Json{
      {"schemaVersion", 2},
      {"mediaType", index_type},
      {"manifests",
       {image.descriptor(manifest_type),
        {{"mediaType", manifest_type},
         {"digest", Digest::of(std::string_view("absent")).str()},
         {"size", 6}}}}}.dump());
  bundle.name("r.example/a:1", image, index.digest);
  const auto sbom = bundle.image({"sbom"}, {{"subject", image.descriptor(manifest_type)},
                                            {"artifactType", "application/spdx+json"}});
  bundle.header.referrers = {
      {"r.example/a", image.digest, sbom.digest, manifest_type, "application/spdx+json", ""}};
  bundle.write(file(), key_);
  const auto outcome = push();
  expect_pushed(outcome);
  // docker-registry 2.8 wants every child, as Harbor does.
  ASSERT_EQ(outcome->report.items[0].not_possible.size(), 1U);
  EXPECT_EQ(outcome->report.items[0].not_possible[0], index.digest);
  const auto http = make_http_client();
  registry::Client client(*http, {host_, "k8s/a", "1", {}}, {true, {}, nullptr});
  ASSERT_OK(client.manifest("1"));
  const auto list = client.manifest(push::referrers_tag(image.digest));
  ASSERT_OK(list);
  EXPECT_THAT(list->content, HasSubstr(sbom.digest.str()));
  const auto again = push();
  expect_pushed(again);
  EXPECT_EQ(push::report_json(*again, options_.target)["items"][0]["state"], "already there");
}

TEST_F(PushTest, AccountAndTlsAreAsTheyMustBe) {
  NEEDS(openssl, program("openssl"), "openssl");
  const auto file_of = [&](const char* name) { return (folder() / name).string(); };
  run({*openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
       "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1", "-keyout",
       file_of("tls.key"), "-out", file_of("tls.crt")});
  write(folder() / "htpasswd",
        "me:$2b$04$6DV.RNjXCMAmQxS3Lq6U5eOYsP7B/5GOiIMMaUgnd8./xwba.6fR.\n");  // "pass word"
  start(fmt::format(", tls: {{certificate: {0}/tls.crt, key: {0}/tls.key}}", folder().string()),
        fmt::format("auth: {{htpasswd: {{realm: test, path: {}/htpasswd}}}}\n", folder().string()));
  create(file());
  const auto login = [&](const std::string& who) {
    write(folder() / "auth.json",
          fmt::format(R"({{"auths": {{"{}": {{"auth": "{}"}}}}}})", host_, base64_encode(who)),
          0600);
    ::setenv("REGISTRY_AUTH_FILE", file_of("auth.json").c_str(), 1);
  };
  const auto push_with = [&](const std::string& ca) {
    registry::Access access(runner_);
    access.set(host_, {false, {ca, "", "", false}, {}});
    const auto reader = open(file());
    auto outcome = push::push_bundle(*reader, options_, access, false, nullptr);
    ::unsetenv("REGISTRY_AUTH_FILE");
    return outcome;
  };
  const auto ca = *read_file(folder() / "tls.crt");
  login("me:pass word");
  const auto untrusted = push_with("");
  ASSERT_FALSE(untrusted);
  EXPECT_EQ(untrusted.error().kind, ErrorKind::untrusted);
  login("me:wrong");
  const auto refused = push_with(ca);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::untrusted);
  EXPECT_THAT(refused.error().render(), ::testing::Not(HasSubstr("wrong")));
  login("me:pass word");
  expect_pushed(push_with(ca));
}

TEST_F(PushTest, ARegistryThatAsksForACertificateGetsOne) {
  const auto put = [&](const char* name, const ServerTls& identity) {
    write(folder() / fmt::format("{}.crt", name), identity.certificate_pem);
    write(folder() / fmt::format("{}.key", name), identity.private_key_pem, 0600);
  };
  const auto server = tls_test::self_signed("registry");
  const auto known = tls_test::self_signed("known");
  const auto stranger = tls_test::self_signed("stranger");
  put("tls", server);
  put("known", known);
  start(
      fmt::format(", tls: {{certificate: {0}/tls.crt, key: {0}/tls.key, "
                  "clientcas: [{0}/known.crt]}}",
                  folder().string()));
  create(file());
  const auto push_as = [&](const ServerTls& identity) {
    registry::Access access(runner_);
    access.set(host_,
               {false,
                {server.certificate_pem, identity.certificate_pem, identity.private_key_pem, false},
                {}});
    const auto reader = open(file());
    return push::push_bundle(*reader, options_, access, false, nullptr);
  };
  EXPECT_FALSE(push_as({}));
  EXPECT_FALSE(push_as(stranger));
  expect_pushed(push_as(known));
  // The way back, as `bundle create` goes it.
  const auto reader = open(file());
  ASSERT_OK(reader);
  collect::RegistrySpec spec;
  spec.host = host_;
  spec.ca = "tls.crt";
  spec.certificate = "known.crt";
  spec.key = "known.key";
  const auto settings = collect::read_settings(spec, folder());
  ASSERT_OK(settings);
  const auto http = make_http_client();
  const auto target =
      options_.target.image(*oci::Reference::parse(reader->header().images[0].name));
  registry::ClientOptions how;
  how.tls = settings->tls;
  registry::Client client(*http, target, how);
  ASSERT_OK(client.manifest(target.tag));
}

TEST_F(PushTest, HelmPullsAChart) {
  NEEDS(helm, payload_program("helm") ? payload_program("helm") : program("helm"),
        "helm: run qemu-tests/payload/build");
  start();
  write(folder() / "app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.2.3+4\n");
  write(folder() / "app/templates/a.yaml", "kind: ConfigMap\napiVersion: v1\n");
  run({*helm, "package", (folder() / "app").string(), "--destination", folder().string()});
  const auto archive = *read_file(folder() / "app-1.2.3+4.tgz");
  BundleBuilder bundle;
  const auto config = bundle.blob(R"({"name":"app","version":"1.2.3+4","apiVersion":"v2"})");
  const auto content = bundle.blob(archive);
  const auto chart = bundle.blob(
      Json{{"schemaVersion", 2},
           {"mediaType", manifest_type},
           {"config", config.descriptor("application/vnd.cncf.helm.config.v1+json")},
           {"layers", {content.descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip")}}}
          .dump());
  bundle.header.charts.push_back({"app", "1.2.3+4", "default", chart.digest, {}, {}, ""});
  bundle.write(file(), key_);
  expect_pushed(push());
  fs::create_directory(folder() / "pulled");
  run({*helm, "pull", fmt::format("oci://{}/k8s/charts/app", host_), "--version", "1.2.3+4",
       "--plain-http", "--destination", (folder() / "pulled").string()});
  EXPECT_EQ(*read_file(folder() / "pulled/app-1.2.3+4.tgz"), archive);
}

/// Ends its process by SIGKILL when its turn has come: before a request, in the middle of a body,
/// or when the registry has answered and we have not noticed yet.
class Killer {
 public:
  explicit Killer(std::uint64_t events) : left_(static_cast<std::int64_t>(events)) {}
  void event() {
    if (--left_ == 0) ::kill(::getpid(), SIGKILL);
  }

 private:
  std::atomic<std::int64_t> left_;
};

class DeadlyHttp final : public HttpClient {
 public:
  explicit DeadlyHttp(Killer& killer) : killer_(killer) {}
  Result<HttpResponse> send(const HttpRequest& request) override {
    killer_.event();
    auto deadly = request;
    deadly.on_send = [&](std::uint64_t bytes) {
      if (request.on_send) request.on_send(bytes);
      killer_.event();
    };
    auto response = http_->send(deadly);
    killer_.event();
    return response;
  }

 private:
  Killer& killer_;
  std::unique_ptr<HttpClient> http_ = make_http_client();
};

class KillCampaign : public PushTest {
 protected:
  /// Images that share blobs, some of which go in many pieces.
  void build() {
    BundleBuilder bundle;
    const auto shared = noise(3'000'000, 1);
    for (unsigned i = 0; i < 4; ++i) {
      const auto image = bundle.image({shared, noise(900'000 * (i + 1), 10 + i), noise(5'000, i)});
      bundle.name(fmt::format("r.example/app{}:1", i), image);
    }
    bundle.write(file(), key_);
    options_.chunk = 700'000;
  }

  /// Whether it came to its end.
  bool push_until(std::uint64_t events) {
    const auto child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      Killer killer(events);
      options_.http = [&] { return std::make_unique<DeadlyHttp>(killer); };
      const auto outcome = push();
      ::_exit(outcome && outcome->report.failed == 0 ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
      EXPECT_EQ(WTERMSIG(status), SIGKILL);
      return false;
    }
    EXPECT_EQ(WEXITSTATUS(status), 0) << "a run that was not killed must succeed";
    return true;
  }
};

/// BEDPLATE_KILLS: how many; BEDPLATE_SEED: which ones.
TEST_F(KillCampaign, EverythingIsThereAtTheEndHoweverOftenItWasKilled) {
  start();
  build();
  const auto kills = number_from("BEDPLATE_KILLS", 10);
  const auto seed = number_from("BEDPLATE_SEED", std::random_device{}());
  RecordProperty("seed", std::to_string(seed));
  fmt::print("BEDPLATE_SEED={} BEDPLATE_KILLS={}\n", seed, kills);
  std::mt19937_64 random(seed);
  std::vector<std::string> finished;
  const auto next = [&] {
    const auto prefix = fmt::format("run{}", finished.size());
    options_.target = *push::Target::parse(host_ + "/" + prefix);
    return prefix;
  };
  auto prefix = next();
  for (std::uint64_t done = 0; done < kills;) {
    if (push_until(1 + random() % 160)) {
      finished.push_back(prefix);
      prefix = next();
    } else {
      ++done;
    }
  }
  EXPECT_TRUE(push_until(1'000'000));
  finished.push_back(prefix);
  for (const auto& each : finished) expect_everything_below(each);
  fmt::print("{} kills, {} pushes came to their end\n", kills, finished.size());
}

}  // namespace
}  // namespace bedplate::bundle_test

// Charts out of an HTTP repository, with the real helm.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "airgap-bundle/collect/charts.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/programs.hpp"
#include "core/http_server.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ChartRepositoryTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    const auto helm = payload_program("helm");
    if (!helm) GTEST_SKIP() << "no helm: qemu-tests/payload/build makes it";
    helm_ = *helm;
    // Whoever runs the test keeps their own repositories.
    ::setenv("HELM_CONFIG_HOME", (folder() / "helm-config").c_str(), 1);
    ::setenv("HELM_CACHE_HOME", (folder() / "helm-cache").c_str(), 1);
    auto server = HttpServer::start(*Ipv4::parse("127.0.0.1"), 0,
                                    [this](const ServerRequest& r) { return answer(r); });
    ASSERT_OK(server);
    server_ = std::move(*server);
    write(folder() / "demo/Chart.yaml", "apiVersion: v2\nname: demo\nversion: 1.0.0\n");
    write(folder() / "demo/templates/empty.yaml", "");
    repository_ = folder() / "repository";
    run({helm_.string(), "package", (folder() / "demo").string(), "-d", repository_.string()});
    run({helm_.string(), "repo", "index", repository_.string(), "--url", url()});
  }
  void TearDown() override {
    ::unsetenv("HELM_CONFIG_HOME");
    ::unsetenv("HELM_CACHE_HOME");
  }

  ServerResponse answer(const ServerRequest& request) const {
    ServerResponse response;
    // "u:p"
    if (with_account_ && request.header("authorization") != "Basic dTpw") {
      response.status = 401;
      return response;
    }
    auto text = read_file(repository_ / request.path.substr(1));
    response.status = text ? 200 : 404;
    if (text) response.body = *text;
    return response;
  }

  std::string url() const { return fmt::format("http://127.0.0.1:{}", server_->port()); }

  Result<std::map<std::string, collect::LockedContent>> collect_chart() {
    collect::ChartSpec spec;
    spec.name = "demo";
    spec.version = "1.0.0";
    spec.kind = collect::ChartSourceKind::repository;
    spec.location = url() + "/";
    BP_TRY(const auto charts, collect::Charts::collect({spec}, folder(), helm_, "", system_));
    return charts.contents();
  }

  SystemProcessRunner system_;
  fs::path repository_;
  std::atomic<bool> with_account_{false};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(ChartRepositoryTest, GivesTheChartOfItsIndex) {
  const auto got = collect_chart();
  ASSERT_OK(got);
  EXPECT_EQ(got->at("demo").digest, *digest_file(repository_ / "demo-1.0.0.tgz"));
  EXPECT_FALSE(fs::exists(folder() / "helm-config")) << "nothing of the user's is changed";
}

TEST_F(ChartRepositoryTest, AChartThatIsNotTheOneOfTheIndexIsRefused) {
  write(folder() / "demo/values.yaml", "changed: since\n");
  run({helm_.string(), "package", (folder() / "demo").string(), "-d", repository_.string()});
  const auto got = collect_chart();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(got.error().what, HasSubstr("index"));
}

TEST_F(ChartRepositoryTest, ValuesThatChangeAfterRenderingAreNotWritten) {
  write(folder() / "values.yaml", "a: 1\n");
  collect::ChartSpec spec;
  spec.name = "demo";
  spec.version = "1.0.0";
  spec.kind = collect::ChartSourceKind::file;
  spec.location = "repository/demo-1.0.0.tgz";
  spec.values = {"values.yaml"};
  const auto charts = collect::Charts::collect({spec}, folder(), helm_, "", system_);
  ASSERT_OK(charts);
  auto before = bundle::Writer::create(folder() / "before", 20);
  ASSERT_OK(before);
  EXPECT_TRUE(charts->add_to(*before));
  write(folder() / "values.yaml", "a: 2\n");
  auto writer = bundle::Writer::create(folder() / "after", 20);
  ASSERT_OK(writer);
  const auto added = charts->add_to(*writer);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(added.error().what, HasSubstr("values.yaml has changed since"));
}

TEST_F(ChartRepositoryTest, APrivateOneIsAskedWithTheLoginOfHelm) {
  with_account_ = true;
  const auto refused = collect_chart();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what, HasSubstr("401"));
  EXPECT_THAT(refused.error().hint, HasSubstr("helm repo add"));
  Command login;
  login.argv = {helm_.string(), "repo",       "add", "mine",
                url(),          "--username", "u",   "--password-stdin"};
  login.input = "p";
  ASSERT_OK(system_.check(login));
  EXPECT_TRUE(collect_chart());
}

}  // namespace
}  // namespace bedplate::bundle_test

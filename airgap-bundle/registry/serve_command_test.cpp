#include "airgap-bundle/registry/serve_command.hpp"

#include <csignal>
#include <fstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/handmade.hpp"
#include "airgap-bundle/tests/programs.hpp"
#include "core/http_client.hpp"
#include "core/json.hpp"
#include "core/tls_fixture.hpp"
#include "core/wire_fixture.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string manifest_text(const std::string& mark) {
  return R"({"schemaVersion":2,"layers":[],"annotations":{"mark":")" + mark + "\"}}";
}

/// The command in a process of its own, told by signals and listened to as systemd does.
class ServeCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-serve");
    ASSERT_OK(made);
    folder_.emplace(std::move(*made));
    write_bundle("v1");
    notify_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    path("notify").copy(where.sun_path, sizeof where.sun_path - 1);
    ASSERT_EQ(::bind(notify_.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    const timeval patience{60, 0};
    ::setsockopt(notify_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::listen(listener_.get(), 16), 0);  // on a port that the kernel chooses
    sockaddr_in chosen{};
    socklen_t length = sizeof chosen;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&chosen), &length);
    port_ = ntohs(chosen.sin_port);
  }

  void TearDown() override { stop(); }

  std::string path(const std::string& name) const { return folder_->path() / name; }

  void write_bundle(const std::string& tag) {
    HandmadeBundle made;
    made.add_image("registry.example/app:" + tag, manifest_text(tag));
    made.write(path("next"), key_);
    fs::rename(path("next"), path("site.bundle"));
  }

  /// Starts the command on an inherited socket and waits until it says that it is ready.
  void start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"bundle", "serve", "--trust", key_.public_key().str()});
    pid_ = ::fork();
    if (pid_ == 0) ::_exit(run(arguments));
    EXPECT_THAT(notification(), HasSubstr("READY=1"));
  }

  int run(const std::vector<std::string>& arguments) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(listener_.get(), 3);
    ::setenv("LISTEN_FDS", "1", 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("NOTIFY_SOCKET", path("notify").c_str(), 1);
    CLI::App app;
    Invocation invocation;
    auto* bundle = app.add_subcommand("bundle");
    add_serve_command(*bundle, invocation);
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
    const auto result = invocation.action();
    if (!result) fmt::print(stderr, "{}", result.error().render());
    return result ? *result : 1;
  }

  std::string notification() {
    std::string text(4096, '\0');
    const auto size = ::recv(notify_.get(), text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }

  void reload() {
    ASSERT_EQ(::kill(pid_, SIGHUP), 0);
    EXPECT_THAT(notification(), HasSubstr("RELOADING=1\nMONOTONIC_USEC="));
    EXPECT_THAT(notification(), HasSubstr("READY=1"));
  }

  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    EXPECT_EQ(status, 0);
    pid_ = 0;
  }

  Result<HttpResponse> ask(const std::string& path, const std::string& scheme = "http",
                           const std::string& ca = "", std::uint16_t port = 0) {
    HttpRequest request;
    request.url = fmt::format("{}://127.0.0.1:{}{}", scheme, port == 0 ? port_ : port, path);
    request.headers = {{"Authorization", "Basic c2VjcmV0"}};
    request.tls.ca_pem = ca;
    return make_http_client()->send(request);
  }

  int status_of(const std::string& tag) {
    const auto answer = ask("/v2/app/manifests/" + tag);
    EXPECT_TRUE(answer) << answer.error().render();
    return answer ? answer->status : 0;
  }

  std::optional<TemporaryDirectory> folder_;
  PrivateKey key_ = PrivateKey::generate();
  UniqueFd notify_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  pid_t pid_ = 0;
};

TEST_F(ServeCommandTest, TakesOverASocketSaysWhenItIsReadyAndReloads) {
  start({"--bundle", path("site.bundle")});
  EXPECT_EQ(status_of("v1"), 200);
  write_bundle("v2");
  EXPECT_EQ(status_of("v2"), 404);
  reload();
  EXPECT_EQ(status_of("v2"), 200);
  write(path("site.bundle"), "no bundle any more");
  reload();
  EXPECT_EQ(status_of("v2"), 200);
}

TEST_F(ServeCommandTest, ReadsTheCertificateAgain) {
  const auto put = [&](const ServerTls& tls) {
    write(path("cert.pem"), tls.certificate_pem);
    write(path("key.pem"), tls.private_key_pem, 0600);
  };
  const auto first = tls_test::self_signed("first");
  const auto second = tls_test::self_signed("second");
  put(first);
  start({"--bundle", path("site.bundle"), "--tls-cert", path("cert.pem"), "--tls-key",
         path("key.pem")});
  EXPECT_TRUE(ask("/v2/", "https", first.certificate_pem));
  put(second);
  reload();
  EXPECT_TRUE(ask("/v2/", "https", second.certificate_pem));
  EXPECT_FALSE(ask("/v2/", "https", first.certificate_pem));
  write(path("key.pem"), "no key", 0600);
  reload();
  EXPECT_TRUE(ask("/v2/", "https", second.certificate_pem));
}

TEST_F(ServeCommandTest, ServesMetricsOnAnAddressOfTheirOwn) {
  const auto port = free_port();
  start({"--bundle", path("site.bundle"), "--metrics", fmt::format("127.0.0.1:{}", port)});
  EXPECT_EQ(status_of("v1"), 200);
  EXPECT_EQ(status_of("absent"), 404);
  const auto page = ask("/metrics", "http", "", port);
  ASSERT_OK(page);
  EXPECT_EQ(page->status, 200);
  EXPECT_THAT(page->body, HasSubstr("status=\"200\""));
  EXPECT_THAT(page->body, HasSubstr("status=\"404\""));
  const auto other = ask("/v2/", "http", "", port);
  ASSERT_OK(other);
  EXPECT_EQ(other->status, 404);
  EXPECT_EQ(ask("/metrics")->status, 404);
}

TEST_F(ServeCommandTest, LogsRequestsWithoutSecretsAndLeavesARenamedLog) {
  start({"--bundle", path("site.bundle"), "--access-log", path("access")});
  EXPECT_TRUE(ask("/v2/app/manifests/v1?ns=registry.example&token=hidden"));
  // A request is logged when its answer has been sent, which a client may see a little earlier.
  for (int i = 0; i < 1000 && fs::file_size(path("access")) == 0; ++i) ::usleep(5000);
  fs::rename(path("access"), path("access.1"));
  reload();
  EXPECT_TRUE(ask("/v2/after/manifests/%22v1"));
  stop();
  const auto before = *read_file(path("access.1"));
  const auto line = parse_json(before, "the log");
  ASSERT_OK(line);
  EXPECT_EQ((*line)["path"], "/v2/app/manifests/v1");
  EXPECT_EQ((*line)["method"], "GET");
  EXPECT_EQ((*line)["status"], 200);
  EXPECT_EQ((*line)["bytes"], manifest_text("v1").size());
  EXPECT_THAT((*line)["remote"].get<std::string>(), HasSubstr("127.0.0.1:"));
  EXPECT_THAT((*line)["userAgent"].get<std::string>(), HasSubstr("bedplate/"));
  EXPECT_TRUE((*line)["seconds"].is_number_float());
  EXPECT_TRUE((*line).contains("time"));
  const auto after = *read_file(path("access"));
  EXPECT_THAT(after, HasSubstr("/v2/after/"));
  for (const auto* secret : {"c2VjcmV0", "uthorization", "hidden"}) {
    EXPECT_THAT(before + after, Not(HasSubstr(secret)));
  }
  EXPECT_EQ(fs::status(path("access")).permissions() & fs::perms::others_all, fs::perms::none);
}

}  // namespace
}  // namespace bedplate::bundle_test

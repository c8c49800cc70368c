// `bundle create` killed at random instants: it goes on where it was, fetches nothing twice, and
// ends with the bundle of a run that nobody disturbed.

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/hostile_server.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

unsigned from_environment(const char* name, unsigned fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

class KillTest : public BundleTest {
 protected:
  static constexpr int layers = 6;
  static constexpr std::size_t layer_size = 3'000'000;

  void SetUp() override {
    BundleTest::SetUp();
    Json list = Json::array();
    for (unsigned i = 0; i < layers; ++i) {
      list.push_back(put(noise(layer_size + i * 12'345, 100 + i), oci::media::layer_tar));
      total_ += layer_size + i * 12'345;
    }
    const Json manifest{
        {"schemaVersion", 2},
        {"mediaType", oci::media::manifest},
        {"config", put(R"({"os":"linux","architecture":"amd64"})", oci::media::config)},
        {"layers", std::move(list)}};
    const auto root = put(manifest.dump(), oci::media::manifest);
    server_.emplace([this](const auto& request, auto& peer) { serve(request, peer); });
    // Something to be compressed, too: kills fall into the appended part as well.
    write(folder() / "tools/large", noise(2'000'000, 99));
    const auto image = fmt::format(
        "images:\n  - {{name: 'r.example/a:1', source: 'registry:{}/a@{}', plainHTTP: true}}\n",
        server_->host(), root["digest"].get<std::string>());
    spec_.replace(spec_.find("images:\n"), 8, image);
    write(folder() / "bundle.yaml", spec_);
    write(folder() / "key.pem", key_.to_pem(), 0600);
  }
  void TearDown() override { server_.reset(); }

  Json put(const std::string& content, std::string_view type) {
    const auto digest = Digest::of(content).str();
    blobs_[digest] = content;
    return {{"mediaType", type}, {"digest", digest}, {"size", content.size()}};
  }

  /// No faster than a slow line, so that little is on its way when somebody is killed.
  static void give(HostilePeer& peer, std::string_view status, std::string_view body) {
    constexpr std::size_t step = 64 << 10;
    peer.send(fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", status,
                          body.size()));
    for (std::size_t at = 0; at < body.size() && peer.send(body.substr(at, step)); at += step) {
      if (body.size() > step) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  void serve(const HostileRequest& request, HostilePeer& peer) const {
    const auto found = blobs_.find(request.path.substr(request.path.rfind('/') + 1));
    if (found == blobs_.end()) return void(peer.answer("404 Not Found", ""));
    const auto rest = std::string_view(found->second).substr(request.range_start());
    const auto range = request.header("Range");
    if (range.empty()) return give(peer, "200 OK", rest);
    give(peer, "206 Partial Content", range.ends_with('-') ? rest : rest.substr(0, 1));
  }

  pid_t spawn(const fs::path& output) const {
    const std::string spec = folder() / "bundle.yaml";
    const std::string key = folder() / "key.pem";
    const std::string log = folder() / "log";
    const auto child = ::fork();
    if (child != 0) return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::setenv("REGISTRY_AUTH_FILE", "/nonexistent", 1);
    ::execl(BEDPLATE_PROGRAM, BEDPLATE_PROGRAM, "bundle", "create", "-f", spec.c_str(), "-o",
            output.c_str(), "--key", key.c_str(), "--created", "2026-01-02T03:04:05Z", "--workers",
            "3", "--limit-rate", "1G", nullptr);
    ::_exit(127);
  }
  static int wait_for(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }

  /// Each request for a blob begins where the one before had come to, or later: what was written
  /// is never asked for again.
  void expect_nothing_fetched_twice(std::size_t from_request) const {
    std::map<std::string, std::uint64_t> reached;
    const auto requests = server_->requests();
    for (auto i = from_request; i < requests.size(); ++i) {
      const auto digest = requests[i].path.substr(requests[i].path.rfind('/') + 1);
      const auto range = requests[i].header("Range");
      const bool probe = !range.empty() && !range.ends_with('-');
      const auto blob = blobs_.find(digest);  // what refers to the image is asked for, too
      if (blob == blobs_.end() || blob->second.size() < layer_size || probe) continue;
      const auto start = requests[i].range_start();
      const auto [known, first] = reached.try_emplace(digest, start);
      EXPECT_GE(start, known->second) << requests[i].path;
      // From the beginning only once, unless nothing had come yet.
      known->second = start;
      if (first) {
        EXPECT_EQ(start, 0U);
      }
    }
    EXPECT_EQ(reached.size(), static_cast<std::size_t>(layers));
  }

  std::map<std::string, std::string> blobs_;
  std::uint64_t total_ = 0;
  std::optional<HostileServer> server_;
};

TEST_F(KillTest, CreateSurvivesBeingKilledAtAnyInstant) {
  const auto whole = folder() / "whole.bundle";
  ASSERT_EQ(wait_for(spawn(whole)), 0) << *read_file(folder() / "log");
  const auto expected = Digest::of(*read_file(whole));

  const auto seed = from_environment("BEDPLATE_SEED", std::random_device()());
  const auto rounds = from_environment("BEDPLATE_KILLS", 10);
  std::cout << "BEDPLATE_SEED=" << seed << " BEDPLATE_KILLS=" << rounds << "\n";
  std::mt19937 random(seed);
  std::uniform_int_distribution<unsigned> instant(1, 600'000);  // microseconds
  unsigned killed = 0;
  unsigned bundles = 0;
  auto first_request = server_->requests().size();
  auto sent_before = server_->sent();
  std::uint64_t most_sent = 0;
  unsigned kills_of_bundle = 0;
  const auto finished = [&] {
    EXPECT_EQ(Digest::of(*read_file(file())), expected);
    EXPECT_FALSE(fs::exists(file().string() + ".partial"));
    expect_nothing_fetched_twice(first_request);
    const auto sent = server_->sent() - sent_before;
    most_sent = std::max(most_sent, sent);
    // What a killed process had not yet taken out of its sockets, three of them, was sent in vain.
    EXPECT_LT(sent, total_ + 200'000 + kills_of_bundle * 3ULL * 300'000);
    fs::remove(file());
    first_request = server_->requests().size();
    sent_before = server_->sent();
    kills_of_bundle = 0;
    ++bundles;
  };
  while (killed < rounds) {
    const auto child = spawn(file());
    ::usleep(instant(random));
    ::kill(child, SIGKILL);
    const auto status = wait_for(child);
    if (WIFSIGNALED(status)) {
      ++killed;
      ++kills_of_bundle;
      // It may have got its name in the last instant; then it must be whole.
      if (fs::exists(file())) finished();
    } else {
      ASSERT_EQ(status, 0) << *read_file(folder() / "log");
      finished();
    }
    if (HasFailure()) return;
  }
  ASSERT_EQ(wait_for(spawn(file())), 0) << *read_file(folder() / "log");
  finished();
  std::cout << killed << " kills, " << bundles << " bundles of " << total_
            << " bytes to fetch; sent for one: at most " << most_sent << " bytes\n";
}

}  // namespace
}  // namespace bedplate::bundle_test

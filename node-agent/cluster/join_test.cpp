// A worker's join, over a real node API on loopback and a scripted kubeadm.

#include <array>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/process_fake.hpp"
#include "node-agent/cluster/steps.hpp"
#include "node-agent/context.hpp"

namespace bedplate::agent {
namespace {

/// A worker and the node API it enrols at; kubeadm is scripted. The address is one of
/// loopback's, another for each process: the port is fixed, and tests run side by side.
class Join : public testing::Test {
 protected:
  void SetUp() override {
    context.root = folder.path();
    context.runner = &runner;
    context.clock = &clock;
    context.site = read_site(std::string(BEDPLATE_SOURCE_DIR) + "/examples/two-nodes.yaml").value();
    context.self = *context.site.find("node-2");
    for (auto& node : context.site.nodes) {
      if (node.name == context.site.bootstrap) node.address.address = address_;
    }
    runner.on("sync", ProcessResult{});
    step_ = join_step(context, secret_);
  }

  void serve() {
    NodeApiOptions options;
    options.address = address_;
    options.port = node_api_port;
    options.state_directory = folder.path() / "server";
    options.node_name = "node-1";
    options.enrolment = {{"node-1", random_bytes(32)}, {"node-2", secret_}};
    options.join_material = [](const std::string&) -> Result<JoinMaterial> {
      return JoinMaterial{"CA", "https://api.two-nodes.example:7443", token};
    };
    auto started = NodeApi::start(std::move(options));
    ASSERT_TRUE(started) << started.error().render();
    api_ = std::move(*started);
  }

  void on_join(int status) {
    runner.on("/opt/bedplate/current/bin/kubeadm join",
              [this, status](const Command&) -> Result<ProcessResult> {
                configuration_ =
                    read_file(context.at("/etc/kubernetes/bedplate/join.yaml")).value();
                if (status == 0) leave("done");
                return ProcessResult{status, "", "broken"};
              });
  }

  void leave(const std::string& content) {
    for (const auto* path : files) {
      ASSERT_TRUE(make_directories(context.at(path).parent_path()));
      ASSERT_TRUE(write_file_atomic(context.at(path), content));
    }
  }

  TemporaryDirectory folder = *TemporaryDirectory::create("bedplate-join");
  FakeProcessRunner runner;
  FakeClock clock;
  Context context;
  static constexpr auto token = "abcdef.0123456789abcdef";
  static constexpr std::array files{"/etc/kubernetes/kubelet.conf", "/etc/kubernetes/pki/ca.crt",
                                    "/var/lib/kubelet/config.yaml"};
  Ipv4 address_ =
      Ipv4::parse(fmt::format("127.74.{}.{}", ::getpid() / 256 % 256, ::getpid() % 256)).value();
  std::string secret_ = random_bytes(32);
  std::string configuration_;
  std::unique_ptr<NodeApi> api_;
  std::unique_ptr<Step> step_;
};

TEST_F(Join, EnrolsThenJoinsWithTheTokenInAFile) {
  serve();
  on_join(0);
  EXPECT_EQ(step_->probe()->probe, Probe::missing);
  const auto joined = step_->apply();
  ASSERT_TRUE(joined) << joined.error().render();
  EXPECT_EQ(step_->probe()->probe, Probe::satisfied);
  EXPECT_NE(configuration_.find(token), std::string::npos);
  for (const auto& command : runner.commands) {
    EXPECT_EQ(command.find(token), std::string::npos) << command;
  }
  EXPECT_FALSE(std::filesystem::exists(context.at("/etc/kubernetes/bedplate/join.yaml")));
}

TEST_F(Join, AHalfJoinIsRepaired) {
  serve();
  leave("done");
  // What a power cut does to a file that nobody synced.
  ASSERT_TRUE(write_file_atomic(context.at(files[0]), ""));
  EXPECT_EQ(step_->probe()->probe, Probe::missing);
  on_join(1);
  EXPECT_EQ(step_->apply().error().kind, ErrorKind::process);
  for (const auto* path : files) EXPECT_FALSE(std::filesystem::exists(context.at(path))) << path;
  on_join(0);
  ASSERT_TRUE(step_->apply());
  EXPECT_EQ(step_->probe()->probe, Probe::satisfied);
}

TEST_F(Join, NothingIsRemovedWhileNobodyAnswers) {
  leave("");
  const auto failed = step_->apply();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::network);
  EXPECT_TRUE(runner.commands.empty());
  for (const auto* path : files) EXPECT_TRUE(std::filesystem::exists(context.at(path))) << path;
}

}  // namespace
}  // namespace bedplate::agent

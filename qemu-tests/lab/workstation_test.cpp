#include "qemu-tests/lab/workstation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/process_fake.hpp"
#include "qemu-tests/lab/service_check.hpp"

namespace bedplate::lab {
namespace {

using testing::HasSubstr;

Workstation::Tools tools() {
  return {{"nsenter", "--"}, "/bin/bedplate",   "/p/kubectl",
          "/s/site.yaml",    "/s/site.secrets", "/w/kc"};
}

Result<void> fine() {
  return {};
}

TEST(Workstation, RunsEverythingOnTheSitesNetwork) {
  FakeProcessRunner runner;
  runner.on("nsenter -- /bin/bedplate kubeconfig", ProcessResult{});
  runner.on("nsenter -- /p/kubectl", ProcessResult{0, R"({"items": []})", ""});
  Workstation workstation(tools(), runner);
  ASSERT_TRUE(workstation.fetch_kubeconfig(*Ipv4::parse("192.0.2.11")));
  ASSERT_TRUE(workstation.nodes());
  EXPECT_EQ(runner.commands[0],
            "nsenter -- /bin/bedplate kubeconfig --site /s/site.yaml --secrets /s/site.secrets "
            "--server 192.0.2.11 -o /w/kc");
  EXPECT_EQ(runner.commands[1],
            "nsenter -- /p/kubectl --kubeconfig=/w/kc --request-timeout=20s get nodes -o json");
}

TEST(ServiceCheck, SucceedsWhenTheClientPrintsThePage) {
  FakeProcessRunner runner;
  runner.on("nsenter -- /p/kubectl", ProcessResult{});
  const std::string kubectl = "nsenter -- /p/kubectl --kubeconfig=/w/kc --request-timeout=60s ";
  runner.on(kubectl + "-n rehearsal get pods -l job-name=client-1",
            ProcessResult{0, "pod/x\n", ""});
  runner.on(
      kubectl + "-n rehearsal logs pod/x",
      ProcessResult{0, "name: web\nbedplate rehearsal: this page came through a Service\n", ""});
  Workstation workstation(tools(), runner);
  const auto answer = run_service_check(workstation, {"busybox:1", "node-2", "node-1", 1}, fine);
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasSubstr("name: web"));
}

TEST(ServiceCheck, AnotherPageIsNoSuccess) {
  FakeProcessRunner runner;
  runner.on("nsenter -- /p/kubectl", ProcessResult{0, "something else", ""});
  Workstation workstation(tools(), runner);
  const auto answer = run_service_check(workstation, {"busybox:1", "node-2", "node-1", 1}, fine);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::conflict);
}

TEST(Retry, GivesUpWithTheLastErrorOrWhenTheLabHasFailed) {
  int attempts = 0;
  const auto failing = [&]() -> Result<void> {
    ++attempts;
    return fail(ErrorKind::network, "refused");
  };
  const auto late = retry("x", std::chrono::milliseconds(0), failing, fine);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::timeout);
  EXPECT_EQ(late.error().what, "refused");
  const auto ended = retry("x", std::chrono::minutes(1), failing,
                           []() -> Result<void> { return fail(ErrorKind::cancelled, "stopped"); });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind, ErrorKind::cancelled);
  EXPECT_EQ(attempts, 1);
}

}  // namespace
}  // namespace bedplate::lab

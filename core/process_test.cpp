#include "core/process.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/process_fake.hpp"

namespace bedplate {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

Command shell(std::string script) {
  Command command;
  command.argv = {"/bin/sh", "-c", std::move(script)};
  return command;
}

TEST(Process, KeepsBothStreamsAndTheStatus) {
  SystemProcessRunner runner;
  const auto result = runner.run(shell("echo out; echo err >&2; exit 3"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 3);
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
}

TEST(Process, FeedsInputLargerThanAPipe) {
  SystemProcessRunner runner;
  Command command;
  command.argv = {"wc", "-c"};
  command.input = std::string(1'000'000, 'x');
  EXPECT_EQ(runner.check(command).value(), "1000000\n");
}

TEST(Process, InputNobodyReadsIsNoError) {
  SystemProcessRunner runner;
  auto command = shell("exit 0");
  command.input = std::string(1'000'000, 'x');
  EXPECT_EQ(runner.run(command)->status, 0);
}

TEST(Process, FailureCarriesTheLastLinesAndTheCommand) {
  SystemProcessRunner runner;
  const auto result =
      runner.check(shell("for i in 1 2 3 4 5 6 7 8 9; do echo line$i >&2; done; exit 1"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::process);
  EXPECT_EQ(result.error().what.find("line1\n"), std::string::npos);
  EXPECT_NE(result.error().what.find("line9"), std::string::npos);
}

TEST(Process, MissingProgramIsADependency) {
  SystemProcessRunner runner;
  EXPECT_EQ(runner.check({"bedplate-no-such-program"}).error().kind, ErrorKind::dependency);
  const auto found = find_program("bedplate-no-such-program", "some-package");
  EXPECT_EQ(found.error().hint, "apt-get install some-package");
}

TEST(Process, TimeoutKillsTheWholeGroup) {
  SystemProcessRunner runner;
  auto command = shell("sleep 100 & echo $!; wait");
  command.timeout = 200ms;
  std::string child;
  command.on_line = [&](std::string_view line) { child = line; };
  EXPECT_EQ(runner.run(command).error().kind, ErrorKind::timeout);
  ASSERT_FALSE(child.empty());
  for (int i = 0; i < 100 && ::kill(std::stoi(child), 0) == 0; ++i) ::usleep(20'000);
  // Either gone, or a zombie that only its adoptive parent can reap.
  const auto state = SystemProcessRunner().run(shell("cut -d' ' -f3 /proc/" + child + "/stat"));
  EXPECT_TRUE(state->out.empty() || state->out == "Z\n") << state->out;
}

TEST(Process, AProgramThatClosesItsOutputAndLivesOnIsATimeoutToo) {
  SystemProcessRunner runner;
  auto command = shell("exec >&- 2>&-; exec sleep 8");
  command.timeout = 200ms;
  const auto result = runner.run(command);
  ASSERT_FALSE(result) << "it was waited for until its end";
  EXPECT_EQ(result.error().kind, ErrorKind::timeout);
}

TEST(Process, AProgramThatClosesItsOutputEarlyStillHasItsStatus) {
  SystemProcessRunner runner;
  const auto result = runner.run(shell("echo out; exec >&- 2>&-; sleep 0.2; exit 3"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 3);
  EXPECT_EQ(result->out, "out\n");
}

TEST(Process, DirectoryAndEnvironmentReachTheProgram) {
  SystemProcessRunner runner;
  auto command = shell("pwd; echo $BEDPLATE_TEST_VALUE");
  command.directory = "/usr";
  command.environment["BEDPLATE_TEST_VALUE"] = "v";
  EXPECT_EQ(runner.check(command).value(), "/usr\nv\n");
}

TEST(FakeProcess, RefusesWhatNobodyScripted) {
  FakeProcessRunner fake;
  fake.on("mount", ProcessResult{0, "ok", ""});
  EXPECT_EQ(fake.check({"mount", "/x"}).value(), "ok");
  EXPECT_EQ(fake.check({"umount"}).error().kind, ErrorKind::internal);
  EXPECT_EQ(fake.commands, (std::vector<std::string>{"mount /x", "umount"}));
}

TEST(Process, WhatPrintsForEverIsStopped) {
  SystemProcessRunner runner;
  Command command;
  command.argv = {"/usr/bin/yes", std::string(10'000, 'y')};
  const auto result = runner.run(command);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::process);
}

}  // namespace
}  // namespace bedplate

#include "qemu-tests/lab/stages.hpp"

#include <sstream>

#include <gtest/gtest.h>

#include "qemu-tests/lab/report.hpp"

namespace bedplate::lab {
namespace {

/// A console as seen from its machine's power-on to its readiness: "<second> <line>".
constexpr const char* kLog = R"(2 BdsDxe: loading Boot0001 "UEFI QEMU DVD-ROM"
2 BdsDxe: starting Boot0001 "UEFI QEMU DVD-ROM"
5 [    0.000000] Linux version 6.12.0
30 bedplate: install: started
30 bedplate: install/find-node: started
31 bedplate: install/find-node: ok (node-1)
31 bedplate: install/write-system: started
50 bedplate: install/write-system: ok (19 s)
51 bedplate: install: ok, restarting
56 BdsDxe: starting Boot0003 "bedplate"
60 [    0.000000] Linux version 6.12.0
80 bedplate: agent/system-root: ok (verity 12ab)
80 bedplate: agent/node-ready: started
95 bedplate: agent/node-ready: failed (no answer)
95 bedplate: agent/node-ready: started
140 bedplate: agent/node-ready: ok (45 s)
141 bedplate: agent: ready
)";

void feed(StageTracker& tracker, const char* log) {
  std::istringstream lines(log);
  int second = 0;
  std::string line;
  while (lines >> second && std::getline(lines, line)) {
    tracker.line(line, std::chrono::seconds(second));
  }
}

double seconds_of(const StageTracker& tracker, const std::string& name) {
  for (const auto& stage : tracker.stages()) {
    if (stage.name == name) return static_cast<double>((stage.ended - stage.began).count()) / 1e3;
  }
  return -1;
}

TEST(StageTracker, FollowsAMachineFromItsFirstStartToReady) {
  StageTracker tracker;
  tracker.power_on("first start", Milliseconds(0));
  EXPECT_EQ(tracker.activity(), "firmware");
  feed(tracker, kLog);
  EXPECT_TRUE(tracker.installed());
  EXPECT_TRUE(tracker.ready());
  EXPECT_EQ(tracker.kernels(), 2);
  EXPECT_EQ(tracker.activity(), "ready");
  EXPECT_EQ(tracker.detail_of("agent/system-root"), "verity 12ab");
  EXPECT_EQ(seconds_of(tracker, "firmware"), 2);
  EXPECT_EQ(seconds_of(tracker, "live boot"), 25);
  EXPECT_EQ(seconds_of(tracker, "install/write-system"), 19);
  EXPECT_EQ(seconds_of(tracker, "restart"), 5);
  EXPECT_EQ(seconds_of(tracker, "boot"), 20);
  for (const auto& stage : tracker.stages()) EXPECT_NE(stage.state, Stage::State::running);
}

TEST(StageTracker, AnInstallerThatGivesUpIsAFailure) {
  StageTracker tracker;
  tracker.power_on("first start", Milliseconds(0));
  feed(tracker,
       "5 bedplate: install/choose-disk: started\n6 bedplate: install: failed (2 disks)\n");
  ASSERT_TRUE(tracker.failure());
  EXPECT_EQ(*tracker.failure(), "install failed: 2 disks");
  EXPECT_FALSE(tracker.installed());
}

TEST(StageTracker, APowerCutInterruptsWhatRuns) {
  StageTracker tracker;
  tracker.power_on("first start", Milliseconds(0));
  feed(tracker, kLog);
  tracker.power_on("after the power cut", std::chrono::seconds(200));
  EXPECT_FALSE(tracker.ready());
  feed(tracker, "204 BdsDxe: starting\n208 Linux version 6\n");
  tracker.power_off(std::chrono::seconds(210));
  EXPECT_EQ(tracker.stages().back().name, "boot");
  EXPECT_EQ(tracker.stages().back().state, Stage::State::interrupted);
}

TEST(StageTracker, APanicEndsWhatRanAndIsRemembered) {
  StageTracker tracker;
  tracker.power_on("first start", Milliseconds(0));
  feed(tracker, kLog);
  EXPECT_TRUE(tracker.crashes().empty());
  feed(tracker, R"(150 bedplate: agent/dns-ready: started
160 [  258.814931] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI
160 [  258.815266] CPU: 0 UID: 0 PID: 648 Comm: kubelet Not tainted
160 [  259.674912] Oops: general protection fault: 0000 [#2] PREEMPT SMP NOPTI
161 [  259.675495] Kernel panic - not syncing: Fatal exception in interrupt
)");
  ASSERT_EQ(tracker.crashes().size(), 1U);
  const auto& crash = tracker.crashes().front();
  EXPECT_EQ(crash.what, "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI");
  EXPECT_EQ(crash.stage, "agent/dns-ready");
  EXPECT_EQ(crash.start, "first start");
  EXPECT_EQ(crash.when, std::chrono::seconds(161));
  EXPECT_FALSE(tracker.ready());
  EXPECT_EQ(tracker.activity(), "restart");
  // It comes back by itself: neither the firmware's two tries nor this start are further crashes.
  feed(tracker, R"(166 BdsDxe: starting Boot0001 "UEFI QEMU DVD-ROM"
167 BdsDxe: starting Boot0003 "bedplate"
170 [    0.000000] Linux version 6.12.0
240 bedplate: agent: ready
)");
  EXPECT_TRUE(tracker.ready());
  EXPECT_EQ(tracker.crashes().size(), 1U);
  feed(tracker, "250 [  70.1] Kernel panic - not syncing: VFS: Unable to mount root fs\n");
  ASSERT_EQ(tracker.crashes().size(), 2U);
  EXPECT_EQ(tracker.crashes()[1].what, "Kernel panic - not syncing: VFS: Unable to mount root fs");
  EXPECT_EQ(tracker.crashes()[1].stage, "ready");
}

TEST(StageTracker, ARestartThatNobodyAnnouncedIsACrash) {
  StageTracker tracker;
  tracker.power_on("first start", Milliseconds(0));
  feed(tracker, kLog);
  feed(tracker, "200 BdsDxe: starting Boot0003 \"bedplate\"\n204 Linux version 6\n");
  ASSERT_EQ(tracker.crashes().size(), 1U);
  EXPECT_EQ(tracker.crashes()[0].what, "a restart that nobody announced");
  EXPECT_EQ(tracker.activity(), "boot");
}

TEST(StageTable, HasARowForEachStageAndAColumnForEachMachine) {
  StageTracker one;
  one.power_on("first start", Milliseconds(0));
  feed(one, kLog);
  StageTracker two;
  two.power_on("first start", Milliseconds(0));
  feed(two, "3 BdsDxe: starting\n7 Linux version 6\n40 bedplate: install/write-system: started\n");
  const auto table =
      stage_table({{"node-1", one.stages(), {}, {}, {}}, {"node-2", two.stages(), {}, {}, {}}});
  EXPECT_EQ(table, R"(first start (seconds)
STAGE                 node-1  node-2
firmware                 2.0     3.0
boot loader, medium      3.0     4.0
live boot               25.0    33.0
install/find-node        1.0       -
install/write-system    19.0    runs
restart                  5.0       -
boot loader, disk        4.0       -
boot                    20.0       -
agent/system-root        0.0       -
agent/node-ready        60.0       -

)");
}

}  // namespace
}  // namespace bedplate::lab

#include "qemu-tests/lab/report.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"
#include "qemu-tests/lab/state.hpp"

namespace bedplate::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

RehearsalReport good() {
  RehearsalReport report;
  report.network.frames = 10;
  report.machines.push_back({"node-1", {}, "verity, intact", "none", {}});
  NodeView node;
  node.name = "node-1";
  node.images["sha256:aa"] = "pause";
  report.nodes.push_back(node);
  report.decoy_unchanged = true;
  report.before_power_cut = WallTime(std::chrono::seconds(1000));
  report.after_power_cut = WallTime(std::chrono::seconds(1000));
  return report;
}

TEST(Findings, ARehearsalAsItMustBeHasNone) {
  EXPECT_THAT(findings_of(good()), IsEmpty());
}

// What was not seen proves nothing: each of these once passed, or would have.
TEST(Findings, WhatWasNotSeenIsAFinding) {
  auto report = good();
  report.network.frames = 0;
  EXPECT_THAT(findings_of(report), ElementsAre(HasSubstr("no account")));

  report = good();
  report.nodes[0].images.clear();
  EXPECT_THAT(findings_of(report), ElementsAre(HasSubstr("nothing of its images")));

  report = good();
  for (int i = 0; i < 50; ++i) report.nodes[0].images[fmt::format("sha256:{}", i)] = "x";
  EXPECT_THAT(findings_of(report), ElementsAre(HasSubstr("there may be more")));

  report = good();
  report.after_power_cut.reset();
  EXPECT_THAT(findings_of(report), ElementsAre(HasSubstr("no proof that time")));
  report = good();
  report.before_power_cut.reset();
  EXPECT_THAT(findings_of(report), ElementsAre(HasSubstr("no proof that time")));

  for (const auto* root : {"not a Bedplate system: no verity device", "verity, damaged", ""}) {
    report = good();
    report.machines[0].verity = root;
    EXPECT_THAT(findings_of(report), ElementsAre(HasSubstr("no proof that dm-verity"))) << root;
  }
  report.machines[0].verity.reset();
  EXPECT_THAT(findings_of(report), ElementsAre(HasSubstr("no proof that dm-verity")));
}

TEST(Findings, WhatWasSeenAndMustNotBeIsAFinding) {
  auto report = good();
  report.network.elsewhere = 3;
  report.decoy_unchanged = false;
  report.machines[0].lab_settings = "cgroupDriver";
  report.foreign_images = {"node-1: x@sha256:bb"};
  EXPECT_THAT(findings_of(report),
              ElementsAre(HasSubstr("3 frames"), HasSubstr("x@sha256:bb"),
                          HasSubstr("disk with someone's data"), HasSubstr("cgroupDriver")));
}

TEST(Findings, TimeThatWentBackOverAPowerCutIsOne) {
  auto report = good();
  *report.after_power_cut -= std::chrono::seconds(1);
  EXPECT_THAT(findings_of(report),
              ElementsAre("time went back over the power cut, from 1970-01-01T00:16:40Z to "
                          "1970-01-01T00:16:39Z"));
}

TEST(Findings, ACrashIsOneUnlessTheEmulationIsToBlame) {
  auto report = good();
  report.accelerator = "tcg";
  report.emulator = "7.2.22";
  report.machines[0].crashes.push_back(
      {"first start", "ready", Milliseconds(1), "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI"});
  EXPECT_THAT(findings_of(report), IsEmpty());
  for (const auto* good : {"8.1.0", "8.2.1", "10.0.2", "11.0", "", "?"}) {
    report.emulator = good;
    EXPECT_THAT(findings_of(report), ElementsAre(HasSubstr("Oops: int3"))) << good;
  }
  for (const auto* faulty : {"7.2.22", "8.0.5", "6.2"}) {
    report.emulator = faulty;
    EXPECT_THAT(findings_of(report), IsEmpty()) << faulty;
  }
  // With hardware there is no such excuse, and the emulation excuses nothing else.
  report.accelerator = "kvm";
  EXPECT_THAT(findings_of(report),
              ElementsAre(HasSubstr("node-1: crashed at 'ready': Oops: int3")));
  report.accelerator = "tcg";
  for (const auto* what : {"Oops: general protection fault: 0000 [#1] SMP",
                           "Kernel panic - not syncing: Oops: int3: in a text of another kind",
                           "a restart that nobody announced"}) {
    report.machines[0].crashes[0].what = what;
    EXPECT_THAT(findings_of(report), ElementsAre(HasSubstr(what)));
  }
  EXPECT_THAT(report_to_json(report), HasSubstr("a restart that nobody announced"));
}

TEST(WorkFolder, OnlyFoldersOfRehearsalsAreOurs) {
  const auto work = TemporaryDirectory::create("bedplate-work");
  ASSERT_TRUE(work);
  const auto make = [&](const std::string& name, bool marked) {
    const auto folder = work->path() / name;
    EXPECT_TRUE(make_directories(folder));
    if (marked) {
      EXPECT_TRUE(write_state(folder / "state.json", {}));
    }
    return folder;
  };
  EXPECT_TRUE(is_of_a_rehearsal(make("0123456789ab", true)));
  EXPECT_FALSE(is_of_a_rehearsal(make("0123456789ac", false)));
  EXPECT_FALSE(is_of_a_rehearsal(make("precious", true)));
  EXPECT_FALSE(is_of_a_rehearsal(make("0123456789abcdef", true)));
}

}  // namespace
}  // namespace bedplate::lab

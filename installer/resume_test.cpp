#include "installer/resume.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"
#include "core/process_fake.hpp"

namespace bedplate::installer {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Resume : public ::testing::Test {
 protected:
  void SetUp() override {
    site_.name = "two-nodes";
    site_.domain = "two-nodes.example";
    node_.name = "node-1";
    host_.uefi = host_.efi_variables = true;
    ProbedDisk disk;
    disk.name = "null";
    disk.node = "/dev/null";  // flushing it does nothing
    disk.marker_site = site_.id();
    disk.marker_node = "node-1";
    ProbedPartition esp;
    esp.label = "BP-ESP";
    esp.start = 2 << 20;
    esp.uuid = "8a1f0000-0000-8000-8000-000000000001";
    disk.partitions = {esp};
    host_.disks = {disk};
    runner_.on("efibootmgr -v",
               {0,
                "Boot0003* Bedplate two-nodes\tHD(2,GPT,8a1f0000-0000-8000-8000-000000000001,"
                "0x1000,0x100000)/File(\\EFI\\BOOT\\BOOTX64.EFI)\n",
                ""});
    runner_.on("efibootmgr -q", {0, "", ""});
    runner_.on("mcopy", [this](const Command& command) {
      note_ = command.input;
      return Result<ProcessResult>(ProcessResult{});
    });
    runner_.on("mtype", [this](const Command&) {
      return Result<ProcessResult>(ProcessResult{note_.empty() ? 1 : 0, note_, ""});
    });
  }

  Result<void> go() {
    return continue_from_disk(site_, host_, host_.disks.front(), runner_, clock_);
  }

  Site site_;
  SiteNode node_;
  ProbedHost host_;
  FakeProcessRunner runner_;
  FakeClock clock_;
  std::string note_;
};

TEST_F(Resume, FindsOnlyThisNodesInstallation) {
  EXPECT_NE(find_installed(site_, node_, host_), nullptr);
  node_.name = "node-2";
  EXPECT_EQ(find_installed(site_, node_, host_), nullptr);
}

TEST_F(Resume, ChoosesTheDiskForTheNextStart) {
  // fsync of /dev/null is refused by the kernel (EINVAL): a file stands in for the disk.
  auto folder = TemporaryDirectory::create("bedplate-resume");
  ASSERT_TRUE(folder);
  host_.disks.front().node = (folder->path() / "disk").string();
  ASSERT_TRUE(write_file_atomic(host_.disks.front().node, ""));
  const auto done = go();
  ASSERT_TRUE(done) << done.error().render();
  EXPECT_THAT(runner_.commands, Contains("efibootmgr -q -n 0003"));

  // The medium again, a minute later: it stays at the console instead of restarting for ever.
  runner_.commands.clear();
  clock_.sleep(std::chrono::minutes{1});
  const auto again = go();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::conflict);
  EXPECT_THAT(again.error().render(), HasSubstr("remove the medium"));
  EXPECT_THAT(runner_.commands, Not(Contains(StartsWith("efibootmgr"))));

  // A clock that lost its battery is a repeat too; another day is not.
  clock_.wall -= std::chrono::hours{24};
  EXPECT_FALSE(go());
  clock_.wall += std::chrono::hours{48};
  EXPECT_TRUE(go());
}

TEST_F(Resume, StaysAtTheConsoleWithoutEfiVariables) {
  host_.efi_variables = false;
  const auto done = go();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::conflict);
}

}  // namespace
}  // namespace bedplate::installer

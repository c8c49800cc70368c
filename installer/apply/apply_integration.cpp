// The real steps on file-backed disks: what they leave, what they refuse, and what a kill at any
// instant costs. Needs root and loop devices.

#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/digest.hpp"
#include "core/process.hpp"
#include "installer/apply/mount.hpp"
#include "installer/apply/test_machine.hpp"

namespace bedplate::installer {
namespace {

using testing::can_use_loop_devices;
using ::testing::Contains;
using testing::fingerprint_of;
using ::testing::HasSubstr;
using testing::install_on;
using ::testing::Key;
using testing::LoopDisk;
using testing::make_test_medium;
using testing::TestMedium;
namespace fs = std::filesystem;

constexpr std::uint64_t kSmall = std::uint64_t{9} << 30;

class Apply : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_use_loop_devices()) GTEST_SKIP() << "needs root and loop devices";
    auto folder = TemporaryDirectory::create("bedplate-apply");
    ASSERT_TRUE(folder);
    folder_.emplace(std::move(*folder));
    medium_ = make_test_medium(folder_->path());
  }
  fs::path path(std::string_view name) const { return folder_->path() / name; }
  fs::path mount() const { return path("state"); }

  /// Runs the installation in a process of its own and kills it after `delay`. True: it was done
  /// before that.
  bool install_and_kill(const std::string& disk, std::chrono::microseconds delay) const {
    const pid_t child = ::fork();
    if (child == 0) {
      ::setpgid(0, 0);
      const auto done = install_on(medium_, disk, mount());
      if (!done) fmt::print(stderr, "{}", done.error().render());
      ::_exit(done ? 0 : 1);
    }
    std::this_thread::sleep_for(delay);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) == 0) << "the installation failed";
    return WIFEXITED(status);
  }

  std::optional<TemporaryDirectory> folder_;
  TestMedium medium_;
};

std::string digest_of(const fs::path& file) {
  return digest_file(file)->str();
}

/// A sparse file of zeros is long to read: only what is allocated is compared.
std::uintmax_t blocks_of(const fs::path& file) {
  struct stat info{};
  ::stat(file.c_str(), &info);
  return static_cast<std::uintmax_t>(info.st_blocks);
}

TEST_F(Apply, InstallsAnEmptyDiskAndFindsNothingToDoAfterwards) {
  LoopDisk disk(path("disk"), kSmall);
  const auto done = install_on(medium_, disk.name(), mount());
  ASSERT_TRUE(done) << done.error().render();
  const auto state = fingerprint_of(disk.name(), mount());
  EXPECT_THAT(state, Contains(Key("ESP::/EFI/BOOT/BOOTX64.EFI")));
  EXPECT_THAT(state, Contains(Key("ESP::/EFI/debian/lastgood.env")));
  EXPECT_THAT(state, Contains(Key("STATE:lib/bedplate/site.bundle")));
  EXPECT_THAT(state.at("STATE:lib/bedplate/enrolment.json"), HasSubstr("600 "));
  EXPECT_EQ(state.at("slot A"), digest_of(medium_.mount / "bedplate/system.img"));
  EXPECT_EQ(state.at("STATE:lib/bedplate/site.bundle"),
            "644 " + digest_of(medium_.mount / "bedplate/site.bundle"));
  ASSERT_TRUE(install_on(medium_, disk.name(), mount()));
  EXPECT_EQ(fingerprint_of(disk.name(), mount()), state);
}

TEST_F(Apply, MakesTheVolumeGroupOnALargeDisk) {
  LoopDisk disk(path("disk"), std::uint64_t{80} << 30);
  const auto done = install_on(medium_, disk.name(), mount());
  ASSERT_TRUE(done) << done.error().render();
  const auto state = fingerprint_of(disk.name(), mount());
  const bool has_volume = std::ranges::any_of(
      state, [](const auto& entry) { return entry.second == "LVM physical volume"; });
  EXPECT_TRUE(has_volume);
}

TEST_F(Apply, RefusesADamagedBundleBeforeTheFirstWrite) {
  const auto bundle = medium_.mount / "bedplate/site.bundle";
  const auto fd = open_file(bundle, O_RDWR);
  ASSERT_TRUE(fd && write_all_at(fd->get(), as_byte_span("!"), fs::file_size(bundle) / 2));
  LoopDisk disk(path("disk"), kSmall);
  const auto done = install_on(medium_, disk.name(), mount());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::corrupt);
  const auto text = done.error().render();
  EXPECT_THAT(text, HasSubstr("differs from what was signed"));
  EXPECT_THAT(text, HasSubstr("site.bundle"));
  EXPECT_THAT(text, HasSubstr("hint:"));
  RecordProperty("error", text);
  EXPECT_EQ(blocks_of(disk.file()), 0U) << "something was written";
}

TEST_F(Apply, RefusesADamagedSystemImageBeforeTheFirstWrite) {
  const auto fd = open_file(medium_.mount / "bedplate/system.img", O_RDWR);
  ASSERT_TRUE(fd && write_all_at(fd->get(), as_byte_span("!"), 1 << 20));
  LoopDisk disk(path("disk"), kSmall);
  const auto done = install_on(medium_, disk.name(), mount());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::corrupt);
  EXPECT_EQ(blocks_of(disk.file()), 0U) << "something was written";
}

TEST_F(Apply, RefusesADiskWithDataAndLeavesItAlone) {
  LoopDisk disk(path("disk"), kSmall);
  SystemProcessRunner runner;
  ASSERT_TRUE(runner.check({"mkfs.ext4", "-q", "-L", "precious", "/dev/" + disk.name()}));
  const auto before = blocks_of(disk.file());
  const auto done = install_on(medium_, disk.name(), mount());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::conflict);
  EXPECT_THAT(done.error().render(), HasSubstr("ext4 file system 'precious'"));
  EXPECT_THAT(done.error().render(), HasSubstr("wipe: true"));
  EXPECT_EQ(blocks_of(disk.file()), before);
  EXPECT_TRUE(runner.check({"e2fsck", "-f", "-n", "/dev/" + disk.name()}));
}

TEST_F(Apply, DestroysDataOnlyWhereTheSiteFileApprovesIt) {
  LoopDisk disk(path("disk"), kSmall);
  LoopDisk decoy(path("decoy"), std::uint64_t{64} << 20);
  SystemProcessRunner runner;
  ASSERT_TRUE(runner.check({"mkfs.ext4", "-q", "/dev/" + disk.name()}));
  ASSERT_TRUE(runner.check({"mkfs.ext4", "-q", "/dev/" + decoy.name()}));
  const auto decoy_before = digest_of(decoy.file());
  const auto site = medium_.mount / "bedplate/site.yaml";
  auto text = *read_file(site);
  text.replace(text.find("wipe: false"), 11, "wipe: true");
  ASSERT_TRUE(write_file_atomic(site, text));
  const auto done = install_on(medium_, disk.name(), mount());
  ASSERT_TRUE(done) << done.error().render();
  EXPECT_THAT(fingerprint_of(disk.name(), mount()), Contains(Key("slot A")));
  EXPECT_EQ(digest_of(decoy.file()), decoy_before);
}

/// Seeds are replayed one by one with BEDPLATE_SEED; BEDPLATE_KILLS sets how many are tried.
TEST_F(Apply, SurvivesKillsAtAnyInstant) {
  LoopDisk reference(path("reference"), kSmall);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(install_on(medium_, reference.name(), mount()));
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - start);
  // A disk of another name, but without a serial: the same identity, so the same GUIDs.
  const auto wanted = fingerprint_of(reference.name(), mount());
  const auto number = [](const char* name, unsigned fallback) {
    const char* text = std::getenv(name);
    return text == nullptr ? fallback : static_cast<unsigned>(std::atoi(text));
  };
  const auto first = number("BEDPLATE_SEED", 1);
  const auto last = std::getenv("BEDPLATE_SEED") != nullptr ? first : number("BEDPLATE_KILLS", 20);
  LoopDisk decoy(path("decoy"), std::uint64_t{64} << 20);
  SystemProcessRunner runner;
  ASSERT_TRUE(runner.check({"mkfs.ext4", "-q", "/dev/" + decoy.name()}));
  const auto decoy_before = digest_of(decoy.file());
  for (unsigned seed = first; seed <= last; ++seed) {
    SCOPED_TRACE(fmt::format("BEDPLATE_SEED={}", seed));
    std::mt19937 random(seed);
    std::uniform_int_distribution<std::int64_t> delay(0, whole.count());
    LoopDisk disk(path(fmt::format("disk-{}", seed)), kSmall);
    for (int kill = 0; kill < 3; ++kill) {
      if (install_and_kill(disk.name(), std::chrono::microseconds(delay(random)))) break;
    }
    const auto done = install_on(medium_, disk.name(), mount());
    ASSERT_TRUE(done) << done.error().render();
    ASSERT_EQ(fingerprint_of(disk.name(), mount()), wanted);
    ASSERT_EQ(digest_of(decoy.file()), decoy_before);
    fs::remove(disk.file());
  }
}

}  // namespace
}  // namespace bedplate::installer

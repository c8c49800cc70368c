#include "imagebuild/rootfs.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"

namespace bedplate::image {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

class RootfsTest : public testing::Test {
 protected:
  void SetUp() override {
    base_.key = "base";
    base_.folder = scratch_.path();
    base_.kernel_version = "6.12";
    fs::create_directories(base_.root() / "usr/lib");
    std::ofstream(base_.root() / "usr/lib/os-release") << "ID=debian\nPRETTY_NAME=\"Debian\"\n";
    spec_.program = scratch_.path() / "bedplate";
    std::ofstream(spec_.program) << "program";
    spec_.bundle_keys = {PublicKey{}};
  }
  std::string content(const std::string& path) {
    const auto files = image_files(spec_, base_, "0.1.0-12345678");
    if (!files) return files.error().render();
    for (const auto& file : *files) {
      if (file.path == path) return file.content;
    }
    return "no such file";
  }
  TemporaryDirectory scratch_ = *TemporaryDirectory::create("rootfs-test");
  Base base_;
  RootfsSpec spec_;
};

TEST_F(RootfsTest, SaysWhatItIs) {
  EXPECT_EQ(content("/usr/lib/os-release"),
            "PRETTY_NAME=\"Bedplate 0.1.0-12345678 (Debian 13)\"\nID=debian\n"
            "IMAGE_ID=bedplate\nIMAGE_VERSION=0.1.0-12345678\n");
  EXPECT_EQ(content("/usr/lib/bedplate/trust/bundle-keys"), PublicKey{}.str() + "\n");
  EXPECT_THAT(content("/usr/lib/bedplate/banner"),
              AllOf(HasSubstr(PublicKey{}.fingerprint()), Not(HasSubstr("DEBUG"))));
  EXPECT_THAT(content("/usr/lib/bedplate/boot/slot.cfg.in"), HasSubstr("@ROOTHASH@"));
  EXPECT_EQ(content("/etc/machine-id"), "");
}

TEST_F(RootfsTest, HasNoShellUnlessAsked) {
  const auto links = image_links(spec_);
  ASSERT_TRUE(links);
  EXPECT_THAT(*links, Not(Contains(Field(&Link::path, HasSubstr("bedplate-debug")))));
  EXPECT_THAT(*links, Contains(Link{"/etc/systemd/system/serial-getty@.service", "/dev/null"}));
  EXPECT_THAT(*links, Contains(Link{"/opt", "/var/opt"}));
}

TEST_F(RootfsTest, DebugConsoleIsLoud) {
  spec_.debug_console = true;
  const auto links = image_links(spec_);
  ASSERT_TRUE(links);
  EXPECT_THAT(*links, Contains(Field(&Link::path, HasSubstr("bedplate-debug@ttyS0"))));
  EXPECT_THAT(*links, Not(Contains(Field(&Link::path, HasSubstr("bedplate-console@ttyS0")))));
  EXPECT_THAT(content("/usr/lib/bedplate/banner"), HasSubstr("DEBUG CONSOLE ENABLED"));
}

TEST_F(RootfsTest, KeyFollowsProgramKeysAndDebug) {
  const auto key = rootfs_key(spec_, base_);
  ASSERT_TRUE(key);
  spec_.built_at += std::chrono::hours{1};
  EXPECT_EQ(*key, *rootfs_key(spec_, base_));
  auto other = spec_;
  other.debug_console = true;
  EXPECT_NE(*key, *rootfs_key(other, base_));
  other = spec_;
  other.bundle_keys.clear();
  EXPECT_NE(*key, *rootfs_key(other, base_));
  std::ofstream(spec_.program) << "another program";
  EXPECT_NE(*key, *rootfs_key(spec_, base_));
  fs::remove(spec_.program);
  EXPECT_FALSE(rootfs_key(spec_, base_));
}

}  // namespace
}  // namespace bedplate::image

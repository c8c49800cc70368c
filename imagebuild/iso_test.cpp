#include "imagebuild/iso.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/json.hpp"

namespace bedplate::image {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

SystemInfo example_info() {
  SystemInfo info;
  info.version = "0.1.0-12345678";
  info.verity = {std::string(64, 'a'), 8192};
  info.size = 4;
  info.sha256 = Digest::of("data").hex();
  info.kernel_version = "6.12";
  info.built_at = "2026-01-02T03:04:05Z";
  info.bundle_keys = {PublicKey{}.str()};
  return info;
}

Site example_site() {
  Site site;
  site.name = "two-nodes";
  site.domain = "two-nodes.example";
  site.trust.bundle_keys = {PublicKey{}};
  return site;
}

TEST(Iso, UuidIsTheModificationDate) {
  EXPECT_EQ(medium_uuid(*parse_rfc3339("2026-01-02T03:04:05Z")), "2026-01-02-03-04-05-00");
}

TEST(Iso, ReadsXorrisosProgress) {
  EXPECT_EQ(parse_xorriso_progress("xorriso : UPDATE :  12.34% done, estimate finish"), 1234);
  EXPECT_EQ(parse_xorriso_progress(" 100% done"), 10000);
  EXPECT_EQ(parse_xorriso_progress("xorriso : NOTE : % done"), -1);
  EXPECT_EQ(parse_xorriso_progress("xorriso : UPDATE : Writing"), -1);
}

TEST(Iso, CommandMakesAHybrid) {
  const auto argv = xorriso_command("xorriso", "2026-01-02-03-04-05-00", "/b", "/t/esp.img",
                                    {{"/bedplate/site.bundle", "/x/site.bundle"}}, "/o.iso");
  EXPECT_THAT(argv, Contains("--modification-date=2026010203040500"));
  EXPECT_THAT(argv, Contains("--interval:appended_partition_2:all::"));
  EXPECT_THAT(argv, Contains("/bedplate/site.bundle=/x/site.bundle"));
  EXPECT_THAT(argv, Contains("/boot/grub/eltorito.img=/b/bios/eltorito.img"));
}

TEST(Iso, GrubConfigLooksForTheInstalledSiteFirst) {
  const auto site = example_site();
  const auto text = medium_grub_config(example_info(), site, "2026-01-02-03-04-05-00", {"quiet"});
  ASSERT_TRUE(text) << text.error().render();
  const auto marker = text->find("--file /bedplate/installed/" + site.id());
  EXPECT_NE(marker, std::string::npos);
  EXPECT_LT(marker, text->find("vmlinuz"));
  EXPECT_THAT(*text, HasSubstr("--fs-uuid 2026-01-02-03-04-05-00\n"));
  EXPECT_THAT(*text, HasSubstr("bedplate.mode=live console=tty0 console=ttyS0,115200"));
  EXPECT_THAT(*text, HasSubstr(" panic=5 quiet\n"));
  EXPECT_THAT(*text, Not(HasSubstr("DEBUG")));
}

TEST(Iso, MenuWarnsOfADebugImage) {
  auto info = example_info();
  info.debug_console = true;
  const auto text = medium_grub_config(info, example_site(), "2026-01-02-03-04-05-00", {});
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("DEBUG CONSOLE ENABLED"));
}

TEST(Iso, RefusesArgumentsThatGrubWouldExpand) {
  EXPECT_FALSE(medium_grub_config(example_info(), example_site(), "u", {"$x"}));
}

class SystemFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto* name : {"system.img", "vmlinuz", "initrd.img"}) {
      std::ofstream(scratch_.path() / name) << "data";
    }
    write(example_info());
  }
  void write(const SystemInfo& info) {
    std::ofstream(scratch_.path() / "system.json") << info.to_json().dump();
  }
  TemporaryDirectory scratch_ = *TemporaryDirectory::create("system-test");
};

TEST_F(SystemFolderTest, ReadsBackWhatWasWritten) {
  const auto system = read_system(scratch_.path(), true);
  ASSERT_TRUE(system) << system.error().render();
  EXPECT_TRUE(system->info == example_info());
}

TEST_F(SystemFolderTest, NoticesAnotherImage) {
  std::ofstream(scratch_.path() / "system.img") << "DATA";
  EXPECT_TRUE(read_system(scratch_.path(), false));
  const auto deep = read_system(scratch_.path(), true);
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(deep.error().hint, HasSubstr("bedplate image system -o"));
  std::ofstream(scratch_.path() / "system.img") << "longer";
  EXPECT_FALSE(read_system(scratch_.path(), false));
}

TEST_F(SystemFolderTest, NamesWhatIsMissing) {
  fs::remove(scratch_.path() / "initrd.img");
  const auto system = read_system(scratch_.path(), false);
  ASSERT_FALSE(system);
  EXPECT_EQ(system.error().kind, ErrorKind::not_found);
  EXPECT_THAT(system.error().what, HasSubstr("initrd.img"));
}

TEST_F(SystemFolderTest, RefusesARootHashThatIsNone) {
  auto info = example_info();
  info.verity.root_hash = "x";
  write(info);
  EXPECT_FALSE(read_system(scratch_.path(), false));
}

}  // namespace
}  // namespace bedplate::image

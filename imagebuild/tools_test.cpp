#include "imagebuild/tools.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/process_fake.hpp"

namespace bedplate::image {
namespace {

using testing::ElementsAre;

ProgramFinder finder_without(std::vector<std::string> missing) {
  return [missing](std::string_view name, std::string_view) -> Result<std::filesystem::path> {
    if (std::ranges::find(missing, name) != missing.end()) {
      return fail(ErrorKind::dependency, "not found");
    }
    return std::filesystem::path("/bin") / name;
  };
}

TEST(Toolbox, NamesAllMissingProgramsAndOneCommand) {
  const auto box = Toolbox::locate(iso_tools(), finder_without({"xorriso", "mcopy", "mmd"}));
  ASSERT_FALSE(box);
  EXPECT_EQ(box.error().kind, ErrorKind::dependency);
  EXPECT_EQ(box.error().what, "programs not found: xorriso, mmd, mcopy");
  EXPECT_EQ(box.error().hint, "sudo apt-get install mtools xorriso");
}

TEST(Toolbox, GivesFullPaths) {
  const auto box = Toolbox::locate(system_tools(true), finder_without({}));
  ASSERT_TRUE(box);
  EXPECT_EQ((*box)["mksquashfs"], "/bin/mksquashfs");
  EXPECT_EQ((*box)["other"], "other");
}

TEST(Toolbox, UsersNeedTheirSubordinateIds) {
  const auto box = Toolbox::locate(system_tools(false), finder_without({"newuidmap"}));
  ASSERT_FALSE(box);
  EXPECT_EQ(box.error().hint, "sudo apt-get install uidmap");
}

TEST(Workshop, UsersHandleTreesInANamespace) {
  FakeProcessRunner runner;
  Workshop shop{runner, nullptr, "/cache",
                *Toolbox::locate(system_tools(false), finder_without({})), false};
  EXPECT_THAT(shop.owning({"tar", "x"}),
              ElementsAre("/bin/unshare", "--map-root-user", "--map-auto", "--", "tar", "x"));
  shop.root = true;
  EXPECT_THAT(shop.owning({"tar", "x"}), ElementsAre("tar", "x"));
}

}  // namespace
}  // namespace bedplate::image

#include "imagebuild/embedded.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bedplate::image {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Embedded, FilesAreThereAndScriptsAreExecutable) {
  ASSERT_TRUE(embedded("base/packages"));
  EXPECT_THAT(std::string(*embedded("base/packages")), HasSubstr("linux-image-amd64\n"));
  const auto missing = embedded("base/nothing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::internal);
  EXPECT_EQ(mode_of({"x.sh", "#!/bin/sh\n"}), 0755U);
  EXPECT_EQ(mode_of({"x.conf", "# text\n"}), 0644U);
}

TEST(Embedded, BelowCutsTheFolderOff) {
  bool found = false;
  for (const auto& file : embedded_below("root/")) {
    found = found || file.path == "usr/lib/systemd/system/bedplate-agent.service";
  }
  EXPECT_TRUE(found);
}

TEST(Embedded, ListsSkipCommentsAndBlanks) {
  EXPECT_THAT(parse_list("# head\n\na\n b\nc"), ElementsAre("a", " b", "c"));
}

TEST(Embedded, LinksNeedAPathAndATarget) {
  const auto links = parse_links("# head\n/opt /var/opt\n");
  ASSERT_TRUE(links);
  EXPECT_THAT(*links, ElementsAre(Link{"/opt", "/var/opt"}));
  EXPECT_FALSE(parse_links("opt /var/opt\n"));
  EXPECT_FALSE(parse_links("/opt\n"));
  EXPECT_FALSE(parse_links("/opt /a /b\n"));
}

TEST(Embedded, TheImagesOwnListsParse) {
  EXPECT_TRUE(parse_links(*embedded("links")));
  for (const auto& folder : parse_list(*embedded("folders"))) EXPECT_EQ(folder.front(), '/');
}

TEST(Render, FillsMarkersAndDropsTheHeader) {
  const auto text = render("# says @A@\nx=@A@ mail=a@b @B_2@\n", {{"A", "1"}, {"B_2", "two"}});
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "x=1 mail=a@b two\n");
}

TEST(Render, RefusesHolesAndLeftovers) {
  const auto hole = render("x=@A@\n", {});
  ASSERT_FALSE(hole);
  EXPECT_THAT(hole.error().what, HasSubstr("@A@"));
  const auto leftover = render("x\n", {{"A", "1"}});
  ASSERT_FALSE(leftover);
  EXPECT_THAT(leftover.error().what, HasSubstr("@A@"));
}

}  // namespace
}  // namespace bedplate::image

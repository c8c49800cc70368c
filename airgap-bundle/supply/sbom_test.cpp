#include "airgap-bundle/supply/sbom.hpp"

#include <gmock/gmock.h>

#include "airgap-bundle/tests/layout.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;

class SbomTest : public BundleTest {
 protected:
  Json document() {
    create(file());
    const auto reader = open(file());
    EXPECT_TRUE(reader);
    auto made = supply::spdx_document(*reader);
    EXPECT_TRUE(made) << made.error().render();
    return made ? *made : Json();
  }

  static Json package(const Json& document, const std::string& name) {
    for (const auto& item : document["packages"]) {
      if (item["name"] == name) return item;
    }
    ADD_FAILURE() << "no package " << name;
    return {};
  }

  static bool related(const Json& document, const Json& from, const std::string& type,
                      const Json& to) {
    const Json wanted{{"spdxElementId", from["SPDXID"]},
                      {"relationshipType", type},
                      {"relatedSpdxElement", to["SPDXID"]}};
    return std::ranges::find(document["relationships"], wanted) != document["relationships"].end();
  }
};

TEST_F(SbomTest, EverythingInTheBundleIsAPackageOfIt) {
  const auto all = document();
  EXPECT_EQ(all["spdxVersion"], "SPDX-2.3");
  EXPECT_EQ(all["creationInfo"]["created"], "2001-09-09T01:46:40Z");
  const auto site = package(all, "test");
  EXPECT_TRUE(related(all, all, "DESCRIBES", site));
  const auto image = package(all, "registry.example/team/app:1.0");
  EXPECT_TRUE(related(all, site, "CONTAINS", image));
  const auto header = open(file())->header();
  EXPECT_EQ(image["checksums"][0]["checksumValue"], header.images[0].digest.hex());
  EXPECT_EQ(image["externalRefs"][0]["referenceLocator"],
            "pkg:oci/app@sha256%3A" + header.images[0].digest.hex() +
                "?repository_url=registry.example/team/app&tag=1.0");
  const auto tools = package(all, "tools");
  EXPECT_EQ(tools["versionInfo"], "v3");
  const auto readme = package(all, "opt/readme");
  EXPECT_TRUE(related(all, tools, "CONTAINS", readme));
  EXPECT_EQ(readme["checksums"][0]["checksumValue"], Digest::of(std::string(5000, 'r')).hex());
}

TEST_F(SbomTest, TheSameBundleGivesTheSameDocument) {
  const auto first = document();
  EXPECT_EQ(document().dump(), first.dump());
  write(folder() / "tools/readme", "changed");
  EXPECT_NE(document()["documentNamespace"], first["documentNamespace"]);
}

TEST_F(SbomTest, WhatRefersToAnImageIsLinkedToIt) {
  Layout layout(folder() / "layout");
  const auto amd = layout.image("amd64");
  const auto index = layout.index({amd, layout.image("arm64")});
  const auto bill = layout.referrer(amd, "application/spdx+json", "a bill");
  const auto signature =
      layout.signature(Signer::ecdsa(), simple_payload(Layout::digest(index), "r.example/a"));
  layout.add(index, "app").add(bill).add(signature, Layout::tag(index, ".sig"));
  for (const auto* platform : {"platform: linux/amd64", "platforms: [linux/amd64, linux/arm64]"}) {
    spec_ = std::string(
                "kind: Bundle\nname: test\nversion: '1'\nimages:\n  - {name: 'r.example/a:1', "
                "source: 'oci:layout:app', ") +
            platform + "}\n";
    const auto all = document();
    const auto image = package(all, "r.example/a:1");
    EXPECT_TRUE(
        related(all, image, "DESCRIBED_BY", package(all, "r.example/a@" + Layout::digest(bill))));
    EXPECT_TRUE(related(all, package(all, "r.example/a:" + Layout::tag(index, ".sig")),
                        "METAFILE_OF", image));
  }
}

}  // namespace
}  // namespace bedplate::bundle_test

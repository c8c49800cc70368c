#include "airgap-bundle/collect/catalog.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "airgap-bundle/tests/fixture.hpp"

namespace bedplate::collect {
namespace {

namespace fs = std::filesystem;
using bundle_test::write;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view harbor = R"(kind: Component
name: harbor
charts:
  - name: harbor
    version: 1.18.0
    source: https://helm.goharbor.io
    namespace: registry
    values: [values.yaml]
  - {name: harbor-extras, version: "1", source: "file:extras-1.tgz"}
images:
  - {name: docker.io/goharbor/harbor-core:v2.14.0}
  - {name: docker.io/library/busybox:1.36}
allowMissing:
  - {image: docker.io/goharbor/trivy:v2.14.0, reason: scanning is off}
profiles:
  small: {values: {harbor: [small.yaml]}}
  large: {}
)";
constexpr std::string_view keycloak = R"(kind: Component
name: keycloak
images:
  - {name: docker.io/library/busybox:1.36}
  - {name: registry.example/keycloak:26, source: "rootfs:app"}
)";

class CatalogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-catalog");
    ASSERT_OK(made);
    folder_.emplace(std::move(*made));
    component("harbor", harbor);
    component("keycloak", keycloak);
    specify("path: manifests, profile: small, components: [harbor, keycloak]");
  }

  void component(const std::string& name, std::string_view text) {
    write(root() / "manifests" / name / "component.yaml", text);
  }
  void specify(const std::string& catalog) {
    write(root() / "bundle.yaml",
          "kind: Bundle\nname: a\nversion: '1'\ncatalog:\n  - {" + catalog + "}\n");
  }
  Result<BundleSpec> load() { return load_spec(root() / "bundle.yaml", root()); }
  std::string problem() {
    const auto spec = load();
    return spec ? "none" : spec.error().render();
  }
  fs::path root() const { return folder_->path(); }

  std::optional<TemporaryDirectory> folder_;
};

TEST_F(CatalogTest, ComponentsBecomeChartsImagesAndAllowances) {
  const auto spec = load();
  ASSERT_OK(spec);
  ASSERT_EQ(spec->charts.size(), 2U);
  EXPECT_EQ(spec->charts[0].location, "https://helm.goharbor.io");
  EXPECT_EQ(spec->charts[0].name_space, "registry");
  EXPECT_THAT(spec->charts[0].values,
              ElementsAre("manifests/harbor/values.yaml", "manifests/harbor/small.yaml"));
  EXPECT_EQ(spec->charts[0].line, 5);
  EXPECT_EQ(spec->images[0].line, 5);
  EXPECT_EQ(spec->charts[1].location, "manifests/harbor/extras-1.tgz");
  ASSERT_EQ(spec->images.size(), 3U);
  EXPECT_EQ(spec->images[1].name.str(), "docker.io/library/busybox:1.36");
  EXPECT_EQ(spec->images[2].source.location, "manifests/keycloak/app");
  ASSERT_EQ(spec->allow_missing.size(), 1U);
  EXPECT_EQ(spec->allow_missing[0].reason, "scanning is off");
}

TEST_F(CatalogTest, AProfileWithoutValuesOfItsOwnIsAProfile) {
  specify("path: manifests, profile: large, components: [harbor]");
  const auto spec = load();
  ASSERT_OK(spec);
  EXPECT_THAT(spec->charts[0].values, ElementsAre("manifests/harbor/values.yaml"));
}

TEST_F(CatalogTest, FindingsOfAllComponentsNameFileAndLine) {
  component("harbor", "kind: Component\nname: harbor\nchart: []\n");
  component("keycloak", "kind: Component\nname: other\nimages:\n  - {name: 'x:1', soure: y}\n");
  const auto text = problem();
  EXPECT_THAT(text, HasSubstr("harbor/component.yaml:3"));
  EXPECT_THAT(text, HasSubstr("did you mean 'charts'"));
  EXPECT_THAT(text, HasSubstr("keycloak/component.yaml:2"));
  EXPECT_THAT(text, HasSubstr("must be 'keycloak'"));
  EXPECT_THAT(text, HasSubstr("keycloak/component.yaml:4"));
}

TEST_F(CatalogTest, AnUnknownProfileIsRefusedWithTheKnownOnes) {
  specify("path: manifests, profile: tiny, components: [harbor]");
  EXPECT_THAT(problem(),
              HasSubstr("bundle.yaml:5:1: catalog.profile: component harbor has the profiles "
                        "small, large, and not 'tiny'"));
  specify("path: manifests, components: [harbor]");
  EXPECT_THAT(problem(), HasSubstr("none was named"));
  specify("path: manifests, components: [keycloak]");
  EXPECT_EQ(problem(), "none");
}

TEST_F(CatalogTest, AProfileMayNotSpeakOfOtherCharts) {
  auto text = std::string(harbor);
  text.replace(text.find("{harbor: [small"), 8, "{harbro:");
  component("harbor", text);
  EXPECT_THAT(problem(), HasSubstr("not one of the component's charts"));
}

TEST_F(CatalogTest, AComponentThatIsNotThereIsNamed) {
  specify("path: manifests, components: [gitea]");
  const auto text = problem();
  EXPECT_THAT(text, HasSubstr("bundle.yaml:5"));
  EXPECT_THAT(text, HasSubstr("no component gitea"));
  specify("path: manifests, components: ['../harbor']");
  EXPECT_THAT(problem(), HasSubstr("no component's name"));
}

TEST_F(CatalogTest, TheSameImageMustMeanTheSameEverywhere) {
  for (const std::string_view more : {"platforms: [linux/amd64, linux/arm64]", "referrers: none",
                                      "platform: linux/arm64", "annotations: {a: b}"}) {
    component("keycloak", fmt::format("kind: Component\nname: keycloak\nimages:\n  - {{name: "
                                      "'docker.io/library/busybox:1.36', {}}}\n",
                                      more));
    const auto text = problem();
    EXPECT_THAT(text, HasSubstr("keycloak/component.yaml:4"));
    EXPECT_THAT(text, HasSubstr("is to be something else there"));
  }
}

TEST_F(CatalogTest, ARuleAboutSignaturesHoldsForComponentsToo) {
  component("keycloak",
            "kind: Component\nname: keycloak\nimages:\n  - {name: 'registry.example/app:1', "
            "source: 'docker-archive:app.tar'}\n");
  specify(
      "path: manifests, profile: small, components: [keycloak]}\npolicy:\n"
      "  - {images: 'registry.example/**', keys: [team.pub]");
  const auto text = problem();
  EXPECT_THAT(text, HasSubstr("keycloak/component.yaml:4"));
  EXPECT_THAT(text, HasSubstr("docker archive, which carries no signatures"));
}

TEST_F(CatalogTest, ARuleThatMeansNoImageIsRefused) {
  specify(
      "path: manifests, profile: small, components: [keycloak]}\npolicy:\n"
      "  - {images: 'registry.exmaple/**', keys: [team.pub]");
  const auto text = problem();
  EXPECT_THAT(text, HasSubstr("bundle.yaml:7"));
  EXPECT_THAT(text, HasSubstr("means none of the images"));
}

TEST_F(CatalogTest, TheSameImageFromTwoSourcesIsRefused) {
  component("keycloak",
            "kind: Component\nname: keycloak\nimages:\n  - {name: "
            "'docker.io/library/busybox:1.36', source: 'oci:layout'}\n");
  const auto text = problem();
  EXPECT_THAT(text, HasSubstr("keycloak/component.yaml:4"));
  EXPECT_THAT(text, HasSubstr("from another source"));
  component("keycloak",
            "kind: Component\nname: keycloak\ncharts:\n  - {name: harbor, version: '1', source: "
            "'https://a.example'}\n");
  EXPECT_THAT(problem(), HasSubstr("a chart harbor is in the bundle already"));
}

}  // namespace
}  // namespace bedplate::collect

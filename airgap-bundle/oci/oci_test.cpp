#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/oci/reference.hpp"
#include "core/json.hpp"

namespace bedplate::oci {
namespace {

using ::testing::HasSubstr;

TEST(Reference, FullNames) {
  for (const std::string text :
       {"registry.k8s.io/coredns/coredns:v1.14.7", "docker.io/library/busybox:1", "localhost/a:b",
        "localhost:5000/a/b-c__d.e:1_2.3-4",
        "r.example/a@sha256:0000000000000000000000000000000000000000000000000000000000000000"}) {
    const auto reference = Reference::parse(text);
    ASSERT_TRUE(reference) << reference.error().render();
    EXPECT_EQ(reference->str(), text);
  }
}

TEST(Reference, OthersAreRefusedWithAHint) {
  for (const std::string text :
       {"busybox", "busybox:1", "library/busybox:1", "r.example/a", "r.example/A:1", "r.example/:1",
        "r.example/a:", "r.example/a:b/c:1", "r.example/a@sha256:12", "", "r.example//a:1",
        "r.example/../a:1"}) {
    const auto reference = Reference::parse(text);
    ASSERT_FALSE(reference) << text;
    EXPECT_EQ(reference.error().kind, ErrorKind::invalid);
    EXPECT_FALSE(reference.error().hint.empty());
  }
}

Json child(const char* os, const char* architecture, char digit) {
  return {{"mediaType", media::manifest},
          {"digest", "sha256:" + std::string(64, digit)},
          {"size", 10},
          {"platform", {{"os", os}, {"architecture", architecture}}}};
}

TEST(Index, ChoosesThePlatform) {
  const Json index{{"manifests",
                    {child("linux", "arm64", '1'), child("linux", "amd64", '2'),
                     child("unknown", "unknown", '3')}}};
  const auto chosen = choose_child(index.dump(), {"linux", "amd64", ""});
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->digest.hex(), std::string(64, '2'));
  const auto missing = choose_child(index.dump(), {"linux", "s390x", ""});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_EQ(missing.error().hint, "it exists for: linux/amd64, linux/arm64");
}

TEST(Manifest, Schema1IsUnsupported) {
  const auto type = manifest_media_type(R"({"schemaVersion": 1, "fsLayers": []})", "");
  ASSERT_FALSE(type);
  EXPECT_EQ(type.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(type.error().hint, HasSubstr("skopeo copy"));
}

TEST(Manifest, MediaTypeMayBeLeftOut) {
  EXPECT_EQ(*manifest_media_type(R"({"manifests": []})", ""), std::string(media::index));
  EXPECT_EQ(*manifest_media_type(R"({"layers": []})", ""), std::string(media::manifest));
  EXPECT_EQ(*manifest_media_type(R"({"layers": []})", media::docker_manifest),
            std::string(media::docker_manifest));
  EXPECT_FALSE(manifest_media_type(R"({"x": []})", ""));
  EXPECT_FALSE(manifest_media_type("[]", ""));
}

TEST(Manifest, ForeignLayersAreUnsupported) {
  Json layer = child("linux", "amd64", '4');
  layer["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
  const Json manifest{{"config", child("linux", "amd64", '5')}, {"layers", {layer}}};
  const auto parsed = parse_manifest(manifest.dump());
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().kind, ErrorKind::unsupported);
}

TEST(Manifest, ConfigurationOfAnotherPlatformIsRefused) {
  const std::string config = R"({"os": "linux", "architecture": "arm64"})";
  EXPECT_TRUE(check_platform(config, {"linux", "arm64", ""}));
  const auto checked = check_platform(config, {"linux", "amd64", ""});
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().what, HasSubstr("linux/arm64"));
}

TEST(Platform, Parses) {
  EXPECT_EQ(Platform::parse("linux/arm64/v8")->str(), "linux/arm64/v8");
  for (const auto* text : {"linux", "", "/", "linux/", "a/b/c/d"})
    EXPECT_FALSE(Platform::parse(text));
  EXPECT_TRUE((Platform{"linux", "arm", "v7"}).matches({"linux", "arm", ""}));
  EXPECT_FALSE((Platform{"linux", "arm", "v7"}).matches({"linux", "arm", "v6"}));
}

}  // namespace
}  // namespace bedplate::oci

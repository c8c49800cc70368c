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

Json variant(const char* architecture, const char* name, char digit) {
  auto out = child("linux", architecture, digit);
  if (*name != '\0') out["platform"]["variant"] = name;
  return out;
}

TEST(Index, ChoosesTheVariant) {
  const auto chosen = [](const Json& children, const char* platform) {
    const auto found =
        choose_child(Json{{"manifests", children}}.dump(), *Platform::parse(platform));
    return found ? found->digest.hex().substr(0, 1) : found.error().hint;
  };
  const auto arm = Json::array({variant("arm", "v5", '5'), variant("arm", "", '1'),
                                variant("arm", "v6", '6'), variant("arm", "v7", '7')});
  EXPECT_EQ(chosen(arm, "linux/arm/v7"), "7");
  EXPECT_EQ(chosen(arm, "linux/arm/v6"), "6");
  EXPECT_EQ(chosen(arm, "linux/arm"), "1");
  const auto pair = Json::array({variant("arm", "v6", '6'), variant("arm", "v7", '7')});
  EXPECT_EQ(chosen(pair, "linux/arm"), "7") << "the usual one";
  EXPECT_EQ(chosen(pair, "linux/arm/v5"), "it exists for: linux/arm/v6, linux/arm/v7");
  const auto arm64 = Json::array({variant("arm64", "v9", '9'), variant("arm64", "v8", '8')});
  EXPECT_EQ(chosen(arm64, "linux/arm64/v8"), "8");
  EXPECT_EQ(chosen(arm64, "linux/arm64"), "8");
  EXPECT_EQ(chosen(Json::array({variant("arm64", "", '1')}), "linux/arm64/v8"), "1");
}

TEST(Index, WhatTellsAboutOthersIsNoImage) {
  // Some builders give an attestation the platform of what it is about.
  auto attestation = child("linux", "amd64", '1');
  attestation["annotations"] = {
      {annotation::docker_reference_type, "attestation-manifest"},
      {annotation::docker_reference_digest, "sha256:" + std::string(64, '2')}};
  const auto text =
      Json{{"manifests", {attestation, child("linux", "amd64", '2'), child("linux", "arm64", '3')}}}
          .dump();
  const auto chosen = choose_child(text, {"linux", "amd64", ""});
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->digest.hex(), std::string(64, '2'));
  const auto about = attestations_of(text, chosen->digest);
  ASSERT_TRUE(about);
  ASSERT_EQ(about->size(), 1U);
  EXPECT_EQ(about->front().digest.hex(), std::string(64, '1'));
  const auto other = attestations_of(text, *Digest::parse("sha256:" + std::string(64, '3')));
  ASSERT_TRUE(other);
  EXPECT_TRUE(other->empty());
}

TEST(Index, ListsWhatCanBeCarried) {
  auto other = child("linux", "amd64", '2');
  other["digest"] = "sha512:" + std::string(128, '2');
  const auto listed = listed_descriptors(
      Json{{"manifests", {child("linux", "amd64", '1'), other, Json("no descriptor")}}}.dump());
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->size(), 1U);
  EXPECT_TRUE(listed_descriptors("{}")->empty());
  EXPECT_FALSE(listed_descriptors("<html>"));
}

TEST(Manifest, Schema1IsUnsupported) {
  const std::vector<std::pair<std::string, std::string_view>> cases{
      {R"({"schemaVersion": 1, "fsLayers": []})", ""},
      {"{}", media::docker_schema1},
      {"{}", media::docker_schema1_signed},
      {R"({"mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"})", ""}};
  for (const auto& [text, announced] : cases) {
    const auto type = manifest_media_type(text, announced);
    ASSERT_FALSE(type) << text;
    EXPECT_EQ(type.error().kind, ErrorKind::unsupported);
    EXPECT_THAT(type.error().hint, HasSubstr("skopeo copy --format oci"));
  }
}

TEST(Manifest, MediaTypeMayBeLeftOut) {
  EXPECT_EQ(*manifest_media_type(R"({"manifests": []})", ""), std::string(media::index));
  EXPECT_EQ(*manifest_media_type(R"({"layers": []})", ""), std::string(media::manifest));
  EXPECT_EQ(*manifest_media_type(R"({"layers": []})", media::docker_manifest),
            std::string(media::docker_manifest));
  EXPECT_FALSE(manifest_media_type(R"({"x": []})", ""));
  EXPECT_FALSE(manifest_media_type("[]", ""));
}

TEST(Manifest, LayersThatMayNotBeCopiedAreUnsupported) {
  for (const auto* type : {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                           "application/vnd.oci.image.layer.nondistributable.v1.tar",
                           "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                           "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"}) {
    Json layer = child("linux", "amd64", '4');
    layer["mediaType"] = type;
    const Json manifest{{"config", child("linux", "amd64", '5')}, {"layers", {layer}}};
    const auto parsed = parse_manifest(manifest.dump());
    ASSERT_FALSE(parsed) << type;
    EXPECT_EQ(parsed.error().kind, ErrorKind::unsupported);
    EXPECT_THAT(parsed.error().what, HasSubstr(type));
    EXPECT_THAT(parsed.error().hint, HasSubstr("choose an image without them"));
  }
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
  for (const auto* text : {"linux", "", "/", "linux/", "a/b/c/d", "a/b/"})
    EXPECT_FALSE(Platform::parse(text));
  EXPECT_TRUE((Platform{"linux", "arm", "v7"}).matches({"linux", "arm", ""}));
  EXPECT_FALSE((Platform{"linux", "arm", "v7"}).matches({"linux", "arm", "v6"}));
}

}  // namespace
}  // namespace bedplate::oci

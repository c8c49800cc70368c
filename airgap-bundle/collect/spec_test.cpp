#include "airgap-bundle/collect/spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"

namespace bedplate::collect {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view head = "kind: Bundle\nname: a\nversion: '1'\n";

std::string problem(const std::string& rest) {
  const auto parsed = parse_spec(std::string(head) + rest, "bundle.yaml");
  if (parsed) return "no problem";
  EXPECT_EQ(parsed.error().kind, ErrorKind::invalid);
  return parsed.error().render();
}

// What the documentation shows is what people copy.
TEST(BundleSpec, TheDocumentedExampleIsOne) {
  auto text = read_file(BEDPLATE_SOURCE_DIR "/docs/bundle-format.md").value();
  text.erase(0, text.find("```yaml\nkind: Bundle") + 8);
  text.resize(text.find("```"));
  const std::string shortened = "sha256:9f86d0…";
  const auto digest = text.find(shortened);
  ASSERT_NE(digest, std::string::npos);
  text.replace(digest, shortened.size(), "sha256:" + std::string(64, '9'));
  const auto spec = parse_spec(text, "bundle.yaml");
  ASSERT_TRUE(spec) << spec.error().render();
  EXPECT_EQ(spec->registries[0].certificate, "client.pem");
  EXPECT_EQ(spec->catalogs.size(), 1U);
}

TEST(BundleSpec, EveryKindOfSource) {
  const auto spec = parse_spec(std::string(head) + R"(images:
  - {name: "r.example/a:1", source: "rootfs:x/y"}
  - {name: "r.example/b:1", source: "oci:x/y:tag"}
  - {name: "r.example/c:1", source: "oci-archive:x.tar:registry.k8s.io/pause:3.10"}
  - {name: "r.example/d:1", source: "docker-archive:dir/x.tar:busybox:1"}
  - {name: "r.example/e:1", source: "registry:localhost:5000/a/b:1", plainHTTP: true}
  - {name: "r.example:5000/f/g:1"}
)",
                               "bundle.yaml");
  ASSERT_TRUE(spec) << spec.error().render();
  EXPECT_EQ(spec->images[0].source.location, "x/y");
  EXPECT_EQ(spec->images[1].source.location, "x/y");
  EXPECT_EQ(spec->images[1].source.selector, "tag");
  EXPECT_EQ(spec->images[2].source.location, "x.tar");
  EXPECT_EQ(spec->images[2].source.selector, "registry.k8s.io/pause:3.10");
  EXPECT_EQ(spec->images[3].source.location, "dir/x.tar");
  EXPECT_EQ(spec->images[3].source.selector, "busybox:1");
  EXPECT_TRUE(spec->images[4].source.plain_http);
  EXPECT_EQ(spec->images[4].source.location, "localhost:5000/a/b:1");
  EXPECT_EQ(spec->images[5].source.kind, SourceKind::registry);
  EXPECT_EQ(spec->images[5].source.location, "r.example:5000/f/g:1");
  EXPECT_EQ(spec->images[5].platform, "linux/amd64");
}

TEST(BundleSpec, FilesAndAnnotations) {
  const auto spec = parse_spec(std::string(head) + R"(files:
  - name: tools
    version: v1
    annotations: {a: b}
    files: [{path: bin, to: opt/bin}]
)",
                               "bundle.yaml");
  ASSERT_TRUE(spec) << spec.error().render();
  EXPECT_EQ(spec->files[0].files[0].to, "opt/bin");
  EXPECT_THAT(spec->files[0].annotations, ElementsAre(std::pair{"a", "b"}));
}

TEST(BundleSpec, FindingsNameFileLineAndField) {
  const auto text = problem("images:\n  - {name: 'r.example/a:1', sourc: 'rootfs:x'}\n");
  EXPECT_THAT(text, HasSubstr("bundle.yaml:5"));
  EXPECT_THAT(text, HasSubstr("sourc"));
  EXPECT_THAT(text, HasSubstr("source"));
}

TEST(BundleSpec, AllFindingsAtOnce) {
  const auto text = problem(
      "images:\n  - {name: busybox, source: 'rootfs:x'}\n  - {name: 'r.example/a:1', source: "
      "'ftp:x'}\nfiles:\n  - {name: Bad_Name, version: '1', files: [{path: a, to: b}]}\n");
  EXPECT_THAT(text, HasSubstr("busybox"));
  EXPECT_THAT(text, HasSubstr("rootfs:, oci:"));
  EXPECT_THAT(text, HasSubstr("files[0].name"));
}

TEST(BundleSpec, Refuses) {
  EXPECT_THAT(problem(""), HasSubstr("images, files, charts, packages or catalog"));
  EXPECT_THAT(problem("images: [{name: 'r.example/a:1', source: 'rootfs:x'}, "
                      "{name: 'r.example/a:1', source: 'rootfs:y'}]\n"),
              HasSubstr("twice"));
  EXPECT_THAT(problem("images: [{name: 'r.example/a:1', config: {user: a}}]\n"),
              HasSubstr("rootfs: sources only"));
  EXPECT_THAT(problem("files: [{name: a, version: '1', files: []}]\n"), HasSubstr("at least one"));
  EXPECT_FALSE(parse_spec("kind: Site\nname: a\nversion: '1'\n", "x"));
}

TEST(BundleSpec, PlatformsAndReferrers) {
  const auto spec = parse_spec(std::string(head) + R"(images:
  - {name: "r.example/a:1", platforms: [linux/amd64, linux/arm64/v8], referrers: signatures}
  - {name: "r.example/b:1", platforms: [linux/arm/v7], referrers: none}
  - {name: "r.example/c:1"}
)",
                               "bundle.yaml");
  ASSERT_TRUE(spec) << spec.error().render();
  EXPECT_THAT(spec->images[0].platforms, ElementsAre("linux/amd64", "linux/arm64/v8"));
  EXPECT_EQ(spec->images[0].referrers, ReferrerMode::signatures);
  EXPECT_EQ(spec->images[1].platform, "linux/arm/v7");
  EXPECT_TRUE(spec->images[1].platforms.empty());
  EXPECT_EQ(spec->images[1].referrers, ReferrerMode::none);
  EXPECT_EQ(spec->images[2].referrers, ReferrerMode::all);
  EXPECT_THAT(problem("images: [{name: 'r.example/a:1', platform: a/b, platforms: [a/b, x]}]\n"),
              testing::AllOf(HasSubstr("not both"), HasSubstr("x is not a platform")));
  EXPECT_THAT(problem("images: [{name: 'r.example/a:1', source: 'rootfs:x', "
                      "platforms: [linux/amd64, linux/arm64]}]\n"),
              HasSubstr("one platform only"));
  EXPECT_THAT(problem("images: [{name: 'r.example/a:1', referrers: some}]\n"),
              HasSubstr("signatures"));
}

TEST(BundleSpec, Policy) {
  const std::string images = "images: [{name: 'r.example/a:1'}]\n";
  const auto spec = parse_spec(
      std::string(head) + images +
          "policy:\n  - {images: 'r.example/**', keys: [a.pub, b.pub]}\n"
          "  - {images: '**', keys: [a.pub], require: 'attestation:https://slsa.dev/x'}\n",
      "bundle.yaml");
  ASSERT_TRUE(spec) << spec.error().render();
  EXPECT_EQ(spec->policy[0].images, "r.example/**");
  EXPECT_THAT(spec->policy[0].keys, ElementsAre("a.pub", "b.pub"));
  EXPECT_EQ(spec->policy[0].attestation, "");
  EXPECT_EQ(spec->policy[1].attestation, "https://slsa.dev/x");
  EXPECT_THAT(problem(images + "policy: [{images: '**'}]\n"), HasSubstr("at least one public"));
  EXPECT_THAT(problem(images + "policy: [{images: '**', keys: [a], require: 'attestation:'}]\n"),
              HasSubstr("predicate type"));
  EXPECT_THAT(problem("images: [{name: 'r.example/a:1', source: 'docker-archive:x.tar'}]\n"
                      "policy: [{images: 'r.example/*', keys: [a]}]\n"),
              HasSubstr("carries no signatures"));
}

}  // namespace
}  // namespace bedplate::collect

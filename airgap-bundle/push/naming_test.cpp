#include "airgap-bundle/push/naming.hpp"

#include <gtest/gtest.h>

namespace bedplate::push {
namespace {

oci::Reference reference(const char* text) {
  return *oci::Reference::parse(text);
}

TEST(Target, IsHostPortAndPrefix) {
  EXPECT_EQ(Target::parse("registry")->registry, "registry");
  EXPECT_EQ(Target::parse("127.0.0.1:5000/")->registry, "127.0.0.1:5000");
  EXPECT_EQ(Target::parse("harbor.example/k8s/mirror/")->prefix, "k8s/mirror");
  EXPECT_EQ(Target::parse("harbor.example/k8s")->str(), "harbor.example/k8s");
  for (const auto* text :
       {"", "/x", "https://harbor.example", "harbor.example/K8s", "harbor.example/a//b", "a b",
        "harbor.example:123456", "user@harbor.example", "harbor.example/a:1", "-a"}) {
    const auto parsed = Target::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::usage) << text;
  }
}

TEST(Target, NamesImages) {
  auto target = *Target::parse("h.example:5000/k8s");
  const auto image = reference("registry.k8s.io/coredns/coredns:v1");
  EXPECT_EQ(target.image(image).str(), "h.example:5000/k8s/coredns/coredns:v1");
  EXPECT_EQ(target.repository("registry.k8s.io/pause"), "k8s/pause");
  target.keep_registry = true;
  EXPECT_EQ(target.image(image).str(), "h.example:5000/k8s/registry.k8s.io/coredns/coredns:v1");
  EXPECT_EQ(target.image(reference("Local.example:5000/a:1")).repository,
            "k8s/local.example_5000/a");
  target.prefix.clear();
  target.keep_registry = false;
  EXPECT_EQ(target.image(image).str(), "h.example:5000/coredns/coredns:v1");
}

TEST(Target, NamesChartsAndArtifacts) {
  auto target = *Target::parse("h.example/k8s");
  EXPECT_EQ(target.chart("harbor", "1.2.3+build.4").str(),
            "h.example/k8s/charts/harbor:1.2.3_build.4");
  EXPECT_EQ(target.artifact("tools", "v3").str(), "h.example/k8s/artifacts/tools:v3");
}

}  // namespace
}  // namespace bedplate::push

#include "imagebuild/bundle_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "airgap-bundle/bundle/format.hpp"

namespace bedplate::image {
namespace {

using ::testing::HasSubstr;

bundle::Header with(const std::string& image) {
  bundle::Header header;
  header.images.push_back({image, {}, "", "", {}});
  return header;
}

TEST(BundleCheck, TheSitesKubernetesIsTheBundles) {
  EXPECT_TRUE(check_kubernetes(with("registry.k8s.io/kube-apiserver:v1.36.3"), "v1.36.3"));
  const auto other = check_kubernetes(with("registry.k8s.io/kube-apiserver:v1.35.4"), "v1.36.3");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::invalid);
  EXPECT_THAT(other.error().render(),
              HasSubstr("wants Kubernetes v1.36.3 and the bundle has v1.35.4"));
  const auto none = check_kubernetes(with("registry.k8s.io/pause:3.10"), "v1.36.3");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().render(), HasSubstr("no image of the Kubernetes API server"));
}

}  // namespace
}  // namespace bedplate::image

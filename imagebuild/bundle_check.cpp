#include "imagebuild/bundle_check.hpp"

#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/oci/reference.hpp"

namespace bedplate::image {

Result<void> check_kubernetes(const bundle::Header& header, const std::string& wanted) {
  std::vector<std::string> have;
  for (const auto& image : header.images) {
    const auto name = oci::Reference::parse(image.name);
    if (!name || !name->repository.ends_with("kube-apiserver")) continue;
    if (name->tag == wanted) return {};
    have.push_back(name->tag);
  }
  if (have.empty()) {
    return fail(ErrorKind::invalid, "the bundle has no image of the Kubernetes API server",
                "bedplate bundle inspect shows what is in it");
  }
  return fail(ErrorKind::invalid,
              fmt::format("the site wants Kubernetes {} and the bundle has {}", wanted,
                          fmt::join(have, ", ")),
              "write the bundle's version into kubernetes.version of the site file");
}

Result<void> check_bundle(const std::filesystem::path& bundle, const Site& site) {
  const auto doing = fmt::format("checking {}", bundle.string());
  BP_TRY_DURING(const auto reader, doing, bundle::Reader::open(bundle, site.trust.bundle_keys));
  BP_CHECK_DURING(doing, check_kubernetes(reader.header(), site.kubernetes_version));
  return {};
}

}  // namespace bedplate::image

#pragma once

#include <string>
#include <string_view>

#include "airgap-bundle/oci/reference.hpp"
#include "core/result.hpp"

namespace bedplate::push {

/// Where a bundle is pushed to.
struct Target {
  std::string registry;  ///< "harbor.site.example", "127.0.0.1:5000"
  std::string prefix;    ///< "k8s/mirror", or empty
  /// Puts the image's own registry before its repository, so that those of two registries with the
  /// same repository do not meet.
  bool keep_registry = false;

  /// "HOST[:PORT][/PREFIX]"; ErrorKind::usage otherwise.
  static Result<Target> parse(std::string_view text);
  std::string str() const;

  /// Under which repository and tag an image of the bundle is found there. An image that is named
  /// by its digest alone has no tag there either.
  oci::Reference image(const oci::Reference& name) const;
  /// "<registry>/<repository>" as referrers have it.
  std::string repository(const std::string& registry_and_repository) const;
  oci::Reference chart(const std::string& name, const std::string& version) const;
  oci::Reference artifact(const std::string& name, const std::string& version) const;

 private:
  std::string under_prefix(const std::string& repository) const;
};

}  // namespace bedplate::push

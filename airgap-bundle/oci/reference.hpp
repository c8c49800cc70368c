#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/digest.hpp"
#include "core/result.hpp"

namespace bedplate::oci {

/// Docker Hub's name, and the older one, which logins and signatures still have.
inline constexpr std::string_view docker_hub = "docker.io";
inline constexpr std::string_view docker_hub_of_old = "index.docker.io";

/// A full image reference: registry/repository[:tag][@digest], as containerd asks for it
/// (grammar of the distribution project's `reference` package).
struct Reference {
  std::string registry;    ///< "registry.k8s.io", "localhost:5000"
  std::string repository;  ///< "coredns/coredns"
  std::string tag;         ///< empty when only a digest is given
  std::optional<Digest> digest;

  /// The registry must be written out: a short name ("busybox") is ErrorKind::invalid, because what
  /// it means differs between tools. "docker.io/busybox" is docker.io/library/busybox, as it is for
  /// everybody who asks that registry.
  static Result<Reference> parse(std::string_view text);
  std::string str() const;
  friend bool operator==(const Reference&, const Reference&) = default;
};

}  // namespace bedplate::oci

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/oci/reference.hpp"
#include "core/result.hpp"

namespace bedplate::closure {

/// How sure it is that a text is the name of an image.
enum class Certainty {
  field,  ///< it stands where an image is named: `image:`, `repository:` and `tag:`, X_IMAGE
  text,   ///< it has the form of a full reference, inside a flag, a variable or a configuration
};

/// One place that names an image.
struct FoundImage {
  oci::Reference image;  ///< normalized: registry written out, tag `latest` when none was given
  std::string written;   ///< as it stands there
  std::string where;     ///< "harbor/templates/core/core-dpl.yaml: Deployment core:
                         ///< spec.template.spec.containers[0].image"
  Certainty certainty = Certainty::field;
};

/// What containerd makes of a short name: "busybox" is docker.io/library/busybox:latest, as the
/// distribution project's `reference.ParseDockerRef` has it. ErrorKind::invalid when it is none.
Result<oci::Reference> normalize(std::string_view text);

/// Every image that a stream of Kubernetes manifests names: in pod specs of every kind (init and
/// ephemeral containers, image volumes), in instances of custom resources, in flags, variables,
/// ConfigMaps and Secrets, whatever their kind. Definitions of custom resources are left out: what
/// they name are examples. `source` says where the stream comes from; `# Source:` lines of Helm
/// are used where they stand. ErrorKind::invalid, with the source, for what is no YAML, and for a
/// container whose image is none: a pod like that never starts. (An empty one is left alone:
/// something may fill it in.)
Result<std::vector<FoundImage>> find_images(std::string_view manifests, std::string_view source);

/// Full references (registry with a dot, a port or localhost, and a tag or digest) in free text.
std::vector<oci::Reference> references_in_text(std::string_view text);

}  // namespace bedplate::closure

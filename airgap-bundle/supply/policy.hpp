#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "airgap-bundle/collect/spec.hpp"
#include "airgap-bundle/oci/reference.hpp"
#include "airgap-bundle/supply/claims.hpp"
#include "airgap-bundle/supply/verification_key.hpp"
#include "core/digest.hpp"
#include "core/result.hpp"

namespace bedplate::supply {

/// What a policy is asked about: an image, and everything signed that hangs on it.
struct SignedImage {
  oci::Reference name;
  std::optional<oci::Reference> source;  ///< the registry's own name for it, if that is another
  std::optional<Digest> index;
  std::vector<Digest> manifests;  ///< that are taken: one for each platform
  std::map<Digest, std::string> texts;
  std::vector<SignedDocument> documents;
};

/// Which keys must have signed which images.
class Policy {
 public:
  Policy() = default;
  /// Reads the keys; paths are relative to `root`. ErrorKind::not_found or invalid names the file.
  static Result<Policy> read(const collect::BundleSpec& spec, const std::filesystem::path& root);

  bool concerns(const oci::Reference& image) const;

  /// Every rule that means the image must be satisfied, by one of its keys: either for the index,
  /// or for each manifest that is taken. ErrorKind::untrusted says what was tried and why it was
  /// not enough.
  Result<void> check(const SignedImage& image) const;

 private:
  struct Rule {
    std::string pattern;
    std::vector<VerificationKey> keys;
    std::string predicate;  ///< of the attestation that is asked for; empty: a signature
    std::string where;      ///< "bundle.yaml:12"
  };
  static Result<void> apply(const Rule& rule, const SignedImage& image);

  std::vector<Rule> rules_;
};

}  // namespace bedplate::supply

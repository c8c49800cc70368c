#include <map>
#include <span>

#include "airgap-bundle/fuzz/targets.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/supply/claims.hpp"
#include "airgap-bundle/tests/signing.hpp"

namespace bedplate::fuzz {
namespace {

using bundle_test::Signer;

const std::string sigstore = std::string(oci::media::sigstore_bundle) + ".v0.3+json";

/// With `key` as the only one that is trusted.
Result<supply::Claim> verify(const supply::VerificationKey& key, const std::string& type,
                             std::string content, std::string signature = {}) {
  static const auto manifest = std::string("a manifest");
  static const std::map<Digest, std::string> manifests{{Digest::of(manifest), manifest}};
  return supply::verify({"a digest", type, std::move(content), std::move(signature)},
                        std::span(&key, 1), manifests);
}

supply::VerificationKey key_of(const Signer& signer) {
  return supply::VerificationKey::from_pem(signer.public_pem(), "fuzz.pub").value();
}

void check(const Result<supply::Claim>& claim) {
  require(claim || claim.error().kind == ErrorKind::invalid,
          "what is signed and says nothing is invalid");
}

}  // namespace

void claims(std::string_view input) {
  // As documents that anybody can hang on an image.
  static const auto nobodys = key_of(Signer::rsa());
  const std::string text(input);
  for (const auto& type :
       {std::string(oci::media::simple_signing), std::string(oci::media::dsse), sigstore}) {
    const auto claim = verify(nobodys, type, text, text);
    require(!claim, "nobody has the key");
    require(claim.error().kind == ErrorKind::untrusted || claim.error().kind == ErrorKind::invalid,
            "it is not trusted, or no such document");
  }

  // As what somebody signed whose key is trusted.
  static const auto signer = Signer::ed25519();
  static const auto key = key_of(signer);
  check(
      verify(key, std::string(oci::media::simple_signing), text, base64_encode(signer.sign(text))));
  const auto envelope = bundle_test::envelope(signer, text);
  const auto claim = verify(key, std::string(oci::media::dsse), envelope.dump());
  check(claim);
  const auto wrapped = verify(key, sigstore, bundle_test::sigstore_bundle(envelope));
  require(claim.has_value() == wrapped.has_value(), "a wrapping changes nothing");
  if (claim) require(claim->subjects == wrapped->subjects, "a wrapping changes nothing");
}

}  // namespace bedplate::fuzz

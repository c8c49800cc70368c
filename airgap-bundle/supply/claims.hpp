#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/supply/verification_key.hpp"
#include "core/digest.hpp"
#include "core/result.hpp"

namespace bedplate::supply {

/// A document that hangs on an image and that somebody signed.
struct SignedDocument {
  std::string where;      ///< for people: the tag or the digest that it was found by
  std::string type;       ///< media type: one of those that is_signed_document() knows
  std::string content;    ///< byte for byte
  std::string signature;  ///< base64, beside the content in cosign's first form; else empty
};

/// What a document says, once its signature has been verified.
struct Claim {
  std::vector<Digest> subjects;
  std::string predicate;   ///< in-toto predicate type; empty: it says no more than "signed"
  std::string repository;  ///< that the signer named; empty in forms that have none
};

bool is_signed_document(std::string_view media_type);

/// Verifies the signature with each key in turn, and only then reads what was signed. Known are
///   - cosign's first form: a "simple signing" payload with its signature beside it
///     (cosign, SIGNATURE_SPEC.md);
///   - DSSE envelopes (secure-systems-lab/dsse, protocol.md) of in-toto statements, v0.1 and v1;
///   - sigstore bundles of such an envelope, or of the signature over a manifest itself:
///   `manifests`
///     are those by digest (protobuf-specs, sigstore_bundle.proto).
/// Certificates and transparency logs are not looked at. ErrorKind::untrusted: signed by none of
/// the keys; invalid: signed, but not of such a form.
Result<Claim> verify(const SignedDocument& document, std::span<const VerificationKey> keys,
                     const std::map<Digest, std::string>& manifests);

}  // namespace bedplate::supply

#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::sets {

/// A document with its signature in one JSON object: DSSE 1.0 (Dead Simple Signing Envelope,
/// github.com/secure-systems-lab/dsse), one Ed25519 signature over the type and the exact bytes.
/// `keyid` is the SHA-256 of the 32 bytes of the public key, in hex.
std::string seal_document(std::string_view type, std::string_view payload, const PrivateKey& key);

struct OpenedDocument {
  std::string payload;
  /// Who signed it; without one the signature was not checked.
  std::optional<PublicKey> signer;
};
/// The payload, after the signature was checked; nothing but the envelope is parsed before.
/// ErrorKind::invalid: no envelope, or of another type; untrusted: not signed by one of `trusted`.
/// `unsigned_too`: without a signature that is trusted it is taken all the same.
Result<OpenedDocument> open_document(std::string_view type, std::string_view text,
                                     std::span<const PublicKey> trusted, bool unsigned_too);

}  // namespace bedplate::sets

#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"

struct evp_pkey_st;

namespace bedplate::supply {

/// A public key that other people sign images with: ECDSA on P-256 (what `cosign
/// generate-key-pair` makes), RSA of 2048 bits and more (PKCS #1 v1.5), both over SHA-256, or
/// Ed25519. May be used by several threads.
class VerificationKey {
 public:
  /// From SubjectPublicKeyInfo in PEM (RFC 7468, section 13). `name` is what people are told: the
  /// file. ErrorKind::invalid when it is none, or of another kind.
  static Result<VerificationKey> from_pem(std::string_view pem, std::string name);

  /// Whether the signature is by this key over exactly this message.
  bool verifies(std::string_view message, std::string_view signature) const;

  /// "keys/team.pub (SHA256:0123456789abcdef…)": the digest is of the DER form.
  const std::string& label() const { return label_; }

 private:
  VerificationKey(std::shared_ptr<evp_pkey_st> key, std::string label, bool hashes)
      : key_(std::move(key)), label_(std::move(label)), hashes_(hashes) {}

  std::shared_ptr<evp_pkey_st> key_;
  std::string label_;
  bool hashes_ = true;  ///< the message is hashed before it is signed; Ed25519 takes it whole
};

}  // namespace bedplate::supply

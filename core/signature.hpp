#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace bedplate {

/// An Ed25519 public key (RFC 8032).
struct PublicKey {
  std::array<std::byte, 32> bytes{};

  /// "ed25519:<base64 of the 32 bytes>", the form of the site file.
  std::string str() const;
  static Result<PublicKey> parse(std::string_view text);
  /// SHA-256 of the 32 bytes; names the key in a bundle's header.
  std::string key_id() const;  ///< 32 raw bytes
  /// What a person compares: "SHA256:" and the first 20 bytes of key_id in hex, in groups of four.
  std::string fingerprint() const;
  /// ErrorKind::untrusted when the 64-byte signature is not by this key over this message.
  Result<void> verify(std::string_view message, std::string_view signature) const;

  friend bool operator==(const PublicKey&, const PublicKey&) = default;
};

/// An Ed25519 private key. Never printed, never logged; its memory is wiped when it goes.
class PrivateKey {
 public:
  static PrivateKey generate();
  /// From PKCS#8 PEM (as `openssl genpkey -algorithm ed25519` writes).
  static Result<PrivateKey> from_pem(std::string_view pem);
  std::string to_pem() const;
  PublicKey public_key() const;
  /// 64 bytes.
  std::string sign(std::string_view message) const;

 private:
  struct Impl;
  explicit PrivateKey(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace bedplate

#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "core/digest.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {

/// Somebody who signs images, with a key of his own that nobody else has.
class Signer {
 public:
  static Signer ecdsa(const char* curve = "P-256") {
    return Signer(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve), true);
  }
  static Signer rsa(std::size_t bits = 2048) {
    return Signer(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits), true);
  }
  static Signer ed25519() { return Signer(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), false); }

  std::string public_pem() const {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio_PUBKEY(bio.get(), key_.get());
    char* data = nullptr;
    const long length = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(length)};
  }

  std::string sign(std::string_view message) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                          EVP_MD_CTX_free);
    std::string out(1024, '\0');
    auto length = out.size();
    EVP_DigestSignInit(context.get(), nullptr, hashes_ ? EVP_sha256() : nullptr, nullptr,
                       key_.get());
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length,
                   reinterpret_cast<const unsigned char*>(message.data()), message.size());
    out.resize(length);
    return out;
  }

 private:
  Signer(EVP_PKEY* key, bool hashes) : key_(key, EVP_PKEY_free), hashes_(hashes) {}
  std::shared_ptr<EVP_PKEY> key_;
  bool hashes_;
};

/// cosign's payload about an image.
inline std::string simple_payload(const std::string& digest, const std::string& repository) {
  return Json{{"critical",
               {{"identity", {{"docker-reference", repository}}},
                {"image", {{"docker-manifest-digest", digest}}},
                {"type", "cosign container image signature"}}},
              {"optional", nullptr}}
      .dump();
}

/// An in-toto statement about an image.
inline std::string statement(const std::string& digest, const std::string& predicate) {
  return Json{
      {"_type", "https://in-toto.io/Statement/v1"},
      {"predicateType", predicate},
      {"subject", Json::array({{{"name", "image"}, {"digest", {{"sha256", digest.substr(7)}}}}})},
      {"predicate", {{"builder", "a test"}}}}
      .dump();
}

/// The statement in a DSSE envelope that `signer` signed.
inline Json envelope(const Signer& signer, const std::string& body,
                     const std::string& type = "application/vnd.in-toto+json") {
  const auto encoded = "DSSEv1 " + std::to_string(type.size()) + " " + type + " " +
                       std::to_string(body.size()) + " " + body;
  return {
      {"payloadType", type},
      {"payload", base64_encode(body)},
      {"signatures", Json::array({{{"keyid", ""}, {"sig", base64_encode(signer.sign(encoded))}}})}};
}

/// A sigstore bundle without certificate and log.
inline std::string sigstore_bundle(const Json& dsse) {
  return Json{{"mediaType", "application/vnd.dev.sigstore.bundle.v0.3+json"},
              {"verificationMaterial", {{"publicKey", {{"hint", "test"}}}}},
              {"dsseEnvelope", dsse}}
      .dump();
}

}  // namespace bedplate::bundle_test

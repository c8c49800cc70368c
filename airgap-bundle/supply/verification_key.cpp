#include "airgap-bundle/supply/verification_key.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/digest.hpp"

namespace bedplate::supply {
namespace {

constexpr int fewest_rsa_bits = 2048;

using BioPointer = std::unique_ptr<BIO, decltype(&BIO_free)>;
using ContextPointer = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string group_of(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  std::size_t length = 0;
  if (EVP_PKEY_get_group_name(key, name.data(), name.size(), &length) != 1) return {};
  return {name.data(), length};
}

std::string fingerprint_of(const EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key, &der);
  const std::string text(reinterpret_cast<const char*>(der),
                         static_cast<std::size_t>(std::max(length, 0)));
  OPENSSL_free(der);
  return "SHA256:" + Digest::of(text).hex().substr(0, 16);
}

}  // namespace

Result<VerificationKey> VerificationKey::from_pem(std::string_view pem, std::string name) {
  const BioPointer bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr),
                                EVP_PKEY_free);
  if (!key) {
    return fail(ErrorKind::invalid, name + " is not a public key in PEM",
                "`cosign public-key --key cosign.key` or `openssl pkey -pubout` writes one");
  }
  const int kind = EVP_PKEY_get_base_id(key.get());
  const bool usable = kind == EVP_PKEY_ED25519 ||
                      (kind == EVP_PKEY_EC && group_of(key.get()) == "prime256v1") ||
                      (kind == EVP_PKEY_RSA && EVP_PKEY_get_bits(key.get()) >= fewest_rsa_bits);
  if (!usable) {
    return fail(ErrorKind::invalid, name + " is a key of a kind that is not checked here",
                "use ECDSA on P-256, Ed25519, or RSA of at least 2048 bits");
  }
  auto label = fmt::format("{} ({})", name, fingerprint_of(key.get()));
  return VerificationKey(std::move(key), std::move(label), kind != EVP_PKEY_ED25519);
}

bool VerificationKey::verifies(std::string_view message, std::string_view signature) const {
  const ContextPointer context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const EVP_MD* hash = hashes_ ? EVP_sha256() : nullptr;
  return context != nullptr &&
         EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key_.get()) == 1 &&
         EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message),
                          message.size()) == 1;
}

}  // namespace bedplate::supply

#include "core/signature.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "core/digest.hpp"

namespace bedplate {
namespace {

constexpr std::string_view prefix = "ed25519:";

using KeyPointer = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using ContextPointer = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
using BioPointer = std::unique_ptr<BIO, decltype(&BIO_free)>;

const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

std::string PublicKey::str() const {
  return std::string(prefix) + base64_encode(bytes);
}

Result<PublicKey> PublicKey::parse(std::string_view text) {
  if (!text.starts_with(prefix)) {
    return fail(ErrorKind::invalid, "a public key has the form ed25519:<base64 of 32 bytes>");
  }
  auto decoded = base64_decode(text.substr(prefix.size()));
  if (!decoded || decoded->size() != 32) {
    return fail(ErrorKind::invalid, "a public key has the form ed25519:<base64 of 32 bytes>");
  }
  PublicKey key;
  std::copy_n(reinterpret_cast<const std::byte*>(decoded->data()), 32, key.bytes.begin());
  return key;
}

std::string PublicKey::key_id() const {
  const auto digest = Digest::of(bytes);
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

std::string PublicKey::fingerprint() const {
  const auto hex = Digest::of(bytes).hex().substr(0, 40);
  std::string out = "SHA256:";
  for (std::size_t i = 0; i < hex.size(); i += 4) {
    if (i != 0) out += '-';
    out += hex.substr(i, 4);
  }
  return out;
}

Result<void> PublicKey::verify(std::string_view message, std::string_view signature) const {
  const KeyPointer key(EVP_PKEY_new_raw_public_key(
                           EVP_PKEY_ED25519, nullptr,
                           reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()),
                       EVP_PKEY_free);
  const ContextPointer context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (key && context && signature.size() == 64 &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message),
                       message.size()) == 1) {
    return {};
  }
  return fail(ErrorKind::untrusted, fmt::format("the signature is not by key {}", fingerprint()));
}

struct PrivateKey::Impl {
  KeyPointer key;
};

PrivateKey PrivateKey::generate() {
  return PrivateKey(std::make_shared<Impl>(
      Impl{KeyPointer(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free)}));
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view pem) {
  const BioPointer bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  KeyPointer key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519) {
    return fail(ErrorKind::invalid, "not an Ed25519 private key in PEM",
                "make one with `openssl genpkey -algorithm ed25519`");
  }
  return PrivateKey(std::make_shared<Impl>(Impl{std::move(key)}));
}

std::string PrivateKey::to_pem() const {
  const BioPointer bio(BIO_new(BIO_s_secmem()), BIO_free);
  PEM_write_bio_PKCS8PrivateKey(bio.get(), impl_->key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(length)};
}

PublicKey PrivateKey::public_key() const {
  PublicKey key;
  std::size_t length = key.bytes.size();
  EVP_PKEY_get_raw_public_key(impl_->key.get(), reinterpret_cast<unsigned char*>(key.bytes.data()),
                              &length);
  return key;
}

std::string PrivateKey::sign(std::string_view message) const {
  const ContextPointer context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::string signature(64, '\0');
  std::size_t length = signature.size();
  EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, impl_->key.get());
  EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                 raw(message), message.size());
  return signature;
}

}  // namespace bedplate

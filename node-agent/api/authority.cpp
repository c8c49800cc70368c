#include "node-agent/api/authority.hpp"

#include <memory>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/digest.hpp"
#include "core/file.hpp"

namespace bedplate::agent {
namespace {

constexpr long day = 24L * 3600;
constexpr long year = 365 * day;

using KeyPointer = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using CertificatePointer = std::unique_ptr<X509, decltype(&X509_free)>;
using RequestPointer = std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)>;
using BioPointer = std::unique_ptr<BIO, decltype(&BIO_free)>;

BioPointer reading(std::string_view text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}

std::string content_of(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(length)};
}

KeyPointer key_from(std::string_view pem) {
  return {PEM_read_bio_PrivateKey(reading(pem).get(), nullptr, nullptr, nullptr), EVP_PKEY_free};
}

CertificatePointer certificate_from(std::string_view pem) {
  return {PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr), X509_free};
}

RequestPointer request_from(std::string_view pem) {
  return {PEM_read_bio_X509_REQ(reading(pem).get(), nullptr, nullptr, nullptr), X509_REQ_free};
}

std::string to_pem(X509* certificate) {
  const BioPointer bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_X509(bio.get(), certificate);
  return content_of(bio.get());
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), X509_EXTENSION_free);
  X509_add_ext(certificate, extension.get(), -1);
}

void set_name(X509* certificate, std::string_view organisation, std::string_view common_name) {
  auto* name = X509_get_subject_name(certificate);
  const auto add = [&](const char* field, std::string_view value) {
    X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(value.data()),
                               static_cast<int>(value.size()), -1, 0);
  };
  add("O", organisation);
  add("CN", common_name);
}

CertificatePointer new_certificate(EVP_PKEY* key, long lifetime) {
  CertificatePointer certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  const auto serial = random_bytes(16);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), 16, nullptr), BN_free);
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
  // An hour back: the clocks of a site without time servers differ.
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), lifetime);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

TlsIdentity make_ca() {
  auto pem = new_private_key_pem();
  const auto key = key_from(pem);
  const auto certificate = new_certificate(key.get(), 10 * year);
  set_name(certificate.get(), "bedplate", "bedplate node authority");
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  add_extension(certificate.get(), certificate.get(), NID_basic_constraints,
                "critical,CA:TRUE,pathlen:0");
  add_extension(certificate.get(), certificate.get(), NID_key_usage, "critical,keyCertSign");
  add_extension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash");
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  return {to_pem(certificate.get()), std::move(pem)};
}

Result<std::string> sign(const TlsIdentity& ca, EVP_PKEY* key, std::string_view organisation,
                         std::string_view common_name, const std::string& usage,
                         const std::string& alternative_names) {
  const auto issuer = certificate_from(ca.certificate_pem);
  const auto issuer_key = key_from(ca.private_key_pem);
  if (!issuer || !issuer_key) {
    return fail(ErrorKind::corrupt, "the node authority's certificate or key cannot be read");
  }
  const auto certificate = new_certificate(key, year);
  set_name(certificate.get(), organisation, common_name);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  add_extension(certificate.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate.get(), issuer.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(certificate.get(), issuer.get(), NID_ext_key_usage, usage);
  if (!alternative_names.empty()) {
    add_extension(certificate.get(), issuer.get(), NID_subject_alt_name, alternative_names);
  }
  if (X509_sign(certificate.get(), issuer_key.get(), EVP_sha256()) == 0) {
    return fail(ErrorKind::internal, "signing a certificate failed");
  }
  return to_pem(certificate.get());
}

/// Key first, certificate second: a certificate on disk means that the pair is complete.
Result<void> store(const std::filesystem::path& folder, const std::string& name,
                   const TlsIdentity& identity) {
  BP_CHECK(write_file_atomic(folder / (name + ".key"), identity.private_key_pem, 0600));
  return write_file_atomic(folder / (name + ".crt"), identity.certificate_pem, 0644);
}

Result<TlsIdentity> load(const std::filesystem::path& folder, const std::string& name) {
  BP_TRY(auto certificate, read_file(folder / (name + ".crt")));
  BP_TRY(auto key, read_file(folder / (name + ".key")));
  return TlsIdentity{std::move(certificate), std::move(key)};
}

}  // namespace

Result<NodeAuthority> NodeAuthority::ensure(const std::filesystem::path& folder,
                                            std::string_view node_name, Ipv4 address) {
  BP_CHECK(make_directories(folder, 0700));
  NodeAuthority authority;
  if (auto ca = load(folder, "ca")) {
    authority.ca_ = std::move(*ca);
  } else {
    authority.ca_ = make_ca();
    BP_CHECK(store(folder, "ca", authority.ca_));
  }
  if (auto server = load(folder, "server")) {
    authority.server_ = std::move(*server);
    return authority;
  }
  authority.server_.private_key_pem = new_private_key_pem();
  const auto key = key_from(authority.server_.private_key_pem);
  BP_TRY(authority.server_.certificate_pem,
         sign(authority.ca_, key.get(), "bedplate:nodes", node_name, "serverAuth",
              fmt::format("DNS:{},IP:{}", node_name, address.str())));
  BP_CHECK(store(folder, "server", authority.server_));
  return authority;
}

Result<std::string> NodeAuthority::issue(std::string_view csr_pem,
                                         std::string_view node_name) const {
  BP_CHECK(csr_key_id(csr_pem));
  const auto request = request_from(csr_pem);
  return sign(ca_, X509_REQ_get0_pubkey(request.get()), "bedplate:nodes", node_name, "clientAuth",
              "");
}

std::string new_private_key_pem() {
  const KeyPointer key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const BioPointer bio(BIO_new(BIO_s_secmem()), BIO_free);
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return content_of(bio.get());
}

Result<std::string> make_csr(std::string_view private_key_pem, std::string_view common_name,
                             std::string_view organisation) {
  const auto key = key_from(private_key_pem);
  if (!key) return fail(ErrorKind::corrupt, "the node's private key cannot be read");
  const RequestPointer request(X509_REQ_new(), X509_REQ_free);
  X509_REQ_set_version(request.get(), X509_REQ_VERSION_1);
  for (const auto& [field, value] : {std::pair("O", organisation), std::pair("CN", common_name)}) {
    if (value.empty()) continue;
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), field, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(value.data()),
                               static_cast<int>(value.size()), -1, 0);
  }
  X509_REQ_set_pubkey(request.get(), key.get());
  X509_REQ_sign(request.get(), key.get(), EVP_sha256());
  const BioPointer bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return content_of(bio.get());
}

Result<std::string> csr_key_id(std::string_view csr_pem) {
  const auto request = request_from(csr_pem);
  auto* key = request ? X509_REQ_get0_pubkey(request.get()) : nullptr;
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    return fail(ErrorKind::invalid, "not a certificate signing request with a good signature");
  }
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key, &der);
  if (length <= 0) return fail(ErrorKind::invalid, "the request's key cannot be encoded");
  const std::string encoded(reinterpret_cast<const char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return Digest::of(encoded).hex();
}

Result<CsrSubject> csr_subject(std::string_view csr_pem) {
  BP_CHECK(csr_key_id(csr_pem));
  const auto request = request_from(csr_pem);
  const auto* name = X509_REQ_get_subject_name(request.get());
  CsrSubject out;
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    const auto* entry = X509_NAME_get_entry(name, i);
    unsigned char* text = nullptr;
    const int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    if (length < 0) return fail(ErrorKind::invalid, "the request's subject cannot be read");
    std::string value(reinterpret_cast<const char*>(text), static_cast<std::size_t>(length));
    OPENSSL_free(text);
    switch (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry))) {
      case NID_organizationName:
        out.organisations.push_back(std::move(value));
        break;
      case NID_commonName:
        out.common_names.push_back(std::move(value));
        break;
      default:
        out.other = true;
    }
  }
  return out;
}

}  // namespace bedplate::agent

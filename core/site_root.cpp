#include "core/site_root.hpp"

#include <algorithm>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/digest.hpp"
#include "core/site_document.hpp"

namespace bedplate {
namespace {

template <auto Free>
struct Freeing {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freeing<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freeing<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freeing<X509_EXTENSION_free>>;
using Constraints = std::unique_ptr<NAME_CONSTRAINTS, Freeing<NAME_CONSTRAINTS_free>>;
using Bio = std::unique_ptr<BIO, Freeing<BIO_free_all>>;

constexpr long day = 24L * 3600;
constexpr long ten_years = 3650 * day;

std::unexpected<Error> openssl_failed(std::string_view what) {
  return fail(ErrorKind::internal, fmt::format("cannot make the site root: {}: {}", what,
                                               ERR_error_string(ERR_get_error(), nullptr)));
}

std::string content_of(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(length)};
}

std::string mask(int length) {
  return Ipv4{length == 0 ? 0 : ~std::uint32_t{0} << (32 - length)}.str();
}

/// What the root has to permit, in OpenSSL's words: "DNS:lab.example",
/// "IP:192.0.2.0/255.255.255.0".
std::set<std::string> wanted_names(const Site& site) {
  std::set<std::string> out{"DNS:" + site.domain};
  for (const auto& node : site.nodes) {
    out.insert(fmt::format("IP:{}/{}", node.address.network().str(), mask(node.address.length)));
  }
  return out;
}

std::string name_constraints(const Site& site) {
  std::string out = "critical";
  for (const auto& name : wanted_names(site)) out += ",permitted;" + name;
  return out;
}

std::string text_of(const GENERAL_NAME& name) {
  if (name.type == GEN_DNS) {
    const auto* value = name.d.dNSName;
    return "DNS:" + std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                                static_cast<std::size_t>(ASN1_STRING_length(value)));
  }
  if (name.type != GEN_IPADD || ASN1_STRING_length(name.d.iPAddress) != 8) return "other";
  const auto* octets = ASN1_STRING_get0_data(name.d.iPAddress);
  return fmt::format("IP:{}.{}.{}.{}/{}.{}.{}.{}", octets[0], octets[1], octets[2], octets[3],
                     octets[4], octets[5], octets[6], octets[7]);
}

Certificate certificate_from(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Certificate out(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return out;
}

Result<void> add_extensions(X509* certificate, const Site& site) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const std::pair<int, std::string> extensions[] = {
      {NID_basic_constraints, "critical,CA:TRUE,pathlen:1"},
      {NID_key_usage, "critical,keyCertSign,cRLSign"},
      {NID_ext_key_usage, "serverAuth"},
      {NID_name_constraints, name_constraints(site)},
      {NID_subject_key_identifier, "hash"},
  };
  for (const auto& [nid, value] : extensions) {
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) {
      return openssl_failed(value);
    }
  }
  return {};
}

Result<void> fill(X509* certificate, EVP_PKEY* key, const Site& site) {
  const auto serial = random_bytes(16);
  const std::unique_ptr<BIGNUM, Freeing<BN_free>> number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), 16, nullptr));
  const auto common_name = fmt::format("{} site root", site.name).substr(0, 64);
  auto* name = X509_get_subject_name(certificate);
  // A day back: the machines of a site may have slow clocks.
  const bool filled =
      number && X509_set_version(certificate, X509_VERSION_3) == 1 &&
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr &&
      X509_gmtime_adj(X509_getm_notBefore(certificate), -day) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(certificate), ten_years) != nullptr &&
      X509_set_pubkey(certificate, key) == 1 &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.c_str()), -1,
                                 -1, 0) == 1 &&
      X509_set_issuer_name(certificate, name) == 1;
  if (!filled) return openssl_failed("its fields");
  return add_extensions(certificate, site);
}

}  // namespace

Result<SiteRoot> make_site_root(const Site& site) {
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  if (!key || !certificate) return openssl_failed("no key");
  BP_CHECK(fill(certificate.get(), key.get(), site));
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return openssl_failed("signing");

  const Bio key_text(BIO_new(BIO_s_secmem()));
  const Bio certificate_text(BIO_new(BIO_s_mem()));
  if (!key_text || !certificate_text ||
      PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1 ||
      PEM_write_bio_X509(certificate_text.get(), certificate.get()) != 1) {
    return openssl_failed("writing");
  }
  return SiteRoot{content_of(key_text.get()), content_of(certificate_text.get())};
}

bool permits(const std::string& certificate, const Site& site) {
  const auto parsed = certificate_from(certificate);
  if (!parsed) return false;
  const Constraints constraints(static_cast<NAME_CONSTRAINTS*>(
      X509_get_ext_d2i(parsed.get(), NID_name_constraints, nullptr, nullptr)));
  if (!constraints) return false;
  std::set<std::string> permitted;
  const auto* subtrees = constraints->permittedSubtrees;
  for (int i = 0; i < sk_GENERAL_SUBTREE_num(subtrees); ++i) {
    permitted.insert(text_of(*sk_GENERAL_SUBTREE_value(subtrees, i)->base));
  }
  return std::ranges::includes(permitted, wanted_names(site));
}

bool same_certificate(const std::string& a, const std::string& b) {
  const auto first = certificate_from(a);
  const auto second = certificate_from(b);
  return first && second && X509_cmp(first.get(), second.get()) == 0;
}

bool is_certificate(const std::string& text) {
  constexpr std::string_view begin = "-----BEGIN ";
  return certificate_from(text) && text.find(begin) == text.rfind(begin);
}

}  // namespace bedplate

#include <algorithm>
#include <cerrno>
#include <memory>

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/site.hpp"

namespace bedplate {
namespace {

using KeyPointer = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using CertificatePointer = std::unique_ptr<X509, decltype(&X509_free)>;
using BioPointer = std::unique_ptr<BIO, decltype(&BIO_free)>;

constexpr long ten_years = 3650L * 24 * 3600;

std::string content_of(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(length)};
}

void add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), X509_EXTENSION_free);
  X509_add_ext(certificate, extension.get(), -1);
}

std::string dotted_mask(int length) {
  return Ipv4{length == 0 ? 0 : ~std::uint32_t{0} << (32 - length)}.str();
}

/// What the root may speak for: the site's domain and its nodes' networks (RFC 5280 section
/// 4.2.1.10). A stolen root key is then of no use elsewhere.
std::string name_constraints(const Site& site) {
  std::string out = "critical,permitted;DNS:" + site.domain;
  std::vector<std::string> networks;
  for (const auto& node : site.nodes) {
    networks.push_back(fmt::format(",permitted;IP:{}/{}", node.address.network().str(),
                                   dotted_mask(node.address.length)));
  }
  std::ranges::sort(networks);
  const auto repeated = std::ranges::unique(networks);
  networks.erase(repeated.begin(), repeated.end());
  for (const auto& network : networks) out += network;
  return out + ",permitted;IP:127.0.0.0/255.0.0.0";
}

void make_site_root(const Site& site, SiteSecrets& secrets) {
  const KeyPointer key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const CertificatePointer certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  const auto serial = random_bytes(16);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), 16, nullptr), BN_free);
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
  // A day back: the machines of a site may have slow clocks.
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -24L * 3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), ten_years);
  X509_set_pubkey(certificate.get(), key.get());
  auto* name = X509_get_subject_name(certificate.get());
  const auto common_name = fmt::format("{} site root", site.name);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate.get(), name);
  add_extension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(certificate.get(), NID_ext_key_usage, "serverAuth");
  add_extension(certificate.get(), NID_name_constraints, name_constraints(site));
  add_extension(certificate.get(), NID_subject_key_identifier, "hash");
  X509_sign(certificate.get(), key.get(), EVP_sha256());

  const BioPointer key_bio(BIO_new(BIO_s_secmem()), BIO_free);
  PEM_write_bio_PKCS8PrivateKey(key_bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  secrets.site_root_key = content_of(key_bio.get());
  const BioPointer certificate_bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_X509(certificate_bio.get(), certificate.get());
  secrets.site_root_cert = content_of(certificate_bio.get());
}

Json to_json(const SiteSecrets& secrets) {
  Json enrolment = Json::object();
  for (const auto& [node, secret] : secrets.enrolment) enrolment[node] = base64_encode(secret);
  return {{"kind", "SiteSecrets"},
          {"siteRoot", {{"key", secrets.site_root_key}, {"cert", secrets.site_root_cert}}},
          {"bundleKey", secrets.bundle_key},
          {"operatorKey", secrets.operator_key},
          {"enrolment", std::move(enrolment)}};
}

Result<std::map<std::string, std::string>> enrolment_from(const Json& object) {
  std::map<std::string, std::string> out;
  if (!object.is_object()) return fail(ErrorKind::invalid, "field 'enrolment' must be an object");
  for (const auto& [node, value] : object.items()) {
    BP_TRY(const auto text, json_string(object, node));
    auto secret = base64_decode(text);
    if (!secret || secret->size() != 32) {
      return fail(ErrorKind::invalid,
                  fmt::format("the enrolment secret of {} must be 32 bytes in base64", node));
    }
    out[node] = std::move(*secret);
  }
  return out;
}

Result<void> refuse_readable_by_others(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return fail(system_error(errno, "cannot read " + path.string()));
  }
  if ((info.st_mode & 077U) != 0) {
    return fail(
        ErrorKind::untrusted,
        fmt::format("{} holds private keys and can be read by others (mode {:04o})", path.string(),
                    info.st_mode & 07777U),
        fmt::format("chmod 600 {}; if others may have read it, make new keys", path.string()));
  }
  return {};
}

Result<SiteSecrets> parse_secrets(const Json& object) {
  SiteSecrets out;
  const auto root = object.is_object() ? object.value("siteRoot", Json::object()) : Json();
  BP_TRY(out.site_root_key, json_string(root, "key"));
  BP_TRY(out.site_root_cert, json_string(root, "cert"));
  BP_TRY(out.bundle_key, json_string(object, "bundleKey"));
  BP_TRY(out.operator_key, json_string(object, "operatorKey"));
  BP_TRY(out.enrolment, enrolment_from(object.value("enrolment", Json())));
  return out;
}

Result<void> match_or_fill(std::vector<PublicKey>& named, const std::string& private_pem,
                           std::string_view what) {
  BP_TRY(const auto key, PrivateKey::from_pem(private_pem));
  if (named.empty()) named.push_back(key.public_key());
  if (std::ranges::find(named, key.public_key()) != named.end()) return {};
  return fail(ErrorKind::untrusted,
              fmt::format("the site file's trust.{} does not hold the key of the secrets file "
                          "({})",
                          what, key.public_key().fingerprint()),
              "use the secrets that belong to this site file, or remove the field to take the key "
              "from the secrets");
}

}  // namespace

Result<SiteSecrets> read_secrets(const std::filesystem::path& path) {
  BP_CHECK(refuse_readable_by_others(path));
  BP_TRY(const auto object, read_json(path));
  BP_TRY_DURING(auto secrets, "reading " + path.string(), parse_secrets(object));
  return secrets;
}

Result<SiteSecrets> ensure_secrets(const std::filesystem::path& path, const Site& site) {
  SiteSecrets secrets;
  std::error_code code;
  const bool exists = std::filesystem::exists(path, code);
  if (exists) {
    BP_TRY(secrets, read_secrets(path));
  }
  bool changed = !exists;
  if (secrets.site_root_key.empty()) make_site_root(site, secrets);
  if (secrets.bundle_key.empty()) secrets.bundle_key = PrivateKey::generate().to_pem();
  if (secrets.operator_key.empty()) secrets.operator_key = PrivateKey::generate().to_pem();
  for (const auto& node : site.nodes) {
    changed = secrets.enrolment.try_emplace(node.name, random_bytes(32)).second || changed;
  }
  if (changed) BP_CHECK(write_file_atomic(path, to_json(secrets).dump(2) + "\n", 0600));
  return secrets;
}

std::filesystem::path default_secrets_path(const std::filesystem::path& site_path) {
  auto out = site_path;
  return out.replace_extension(".secrets");
}

Result<Site> seal_site(Site site, const SiteSecrets& secrets) {
  BP_CHECK(match_or_fill(site.trust.bundle_keys, secrets.bundle_key, "bundleKeys"));
  BP_CHECK(match_or_fill(site.trust.operator_keys, secrets.operator_key, "operatorKeys"));
  if (site.trust.site_roots.empty()) site.trust.site_roots.push_back(secrets.site_root_cert);
  for (const auto& node : site.nodes) {
    if (secrets.enrolment.contains(node.name)) continue;
    return fail(ErrorKind::invalid,
                fmt::format("the secrets file has no enrolment secret for node {}", node.name),
                "run `bedplate site init` on the site file: it adds what is missing");
  }
  return site;
}

std::string enrolment_to_json(const std::map<std::string, std::string>& enrolment) {
  Json out = Json::object();
  for (const auto& [node, secret] : enrolment) out[node] = base64_encode(secret);
  return out.dump(2) + "\n";
}

Result<std::map<std::string, std::string>> read_enrolment(const std::filesystem::path& path) {
  BP_TRY(const auto object, read_json(path));
  BP_TRY_DURING(auto out, "reading " + path.string(), enrolment_from(object));
  return out;
}

}  // namespace bedplate

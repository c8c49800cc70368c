#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/site.hpp"
#include "core/site_root.hpp"

namespace bedplate {
namespace {

using testing::HasSubstr;

Site example_site() {
  const auto path = std::string(BEDPLATE_SOURCE_DIR) + "/examples/two-nodes.yaml";
  return read_site(path).value();
}

class Secrets : public testing::Test {
 protected:
  TemporaryDirectory folder_ = *TemporaryDirectory::create("bedplate-site");
  std::filesystem::path path_ = folder_.path() / "site.secrets";
  Site site_ = example_site();
};

TEST_F(Secrets, AreMadeOnceAndKept) {
  const auto first = ensure_secrets(path_, site_).value();
  const auto content = read_file(path_).value();
  const auto again = ensure_secrets(path_, site_).value();
  EXPECT_EQ(content, read_file(path_).value());
  EXPECT_EQ(first.enrolment, again.enrolment);
  EXPECT_EQ(first.enrolment.size(), 2U);
  EXPECT_EQ(std::filesystem::status(path_).permissions(), std::filesystem::perms(0600));
}

TEST_F(Secrets, ANewNodeOnlyAddsItsOwn) {
  const auto first = ensure_secrets(path_, site_).value();
  auto node = site_.nodes[1];
  node.name = "node-3";
  site_.nodes.push_back(node);
  const auto second = ensure_secrets(path_, site_).value();
  EXPECT_EQ(second.enrolment.size(), 3U);
  EXPECT_EQ(second.enrolment.at("node-1"), first.enrolment.at("node-1"));
  EXPECT_EQ(second.bundle_key, first.bundle_key);
}

TEST_F(Secrets, ReadableByOthersIsRefused) {
  ASSERT_TRUE(ensure_secrets(path_, site_));
  std::filesystem::permissions(path_, std::filesystem::perms(0644));
  EXPECT_EQ(read_secrets(path_).error().kind, ErrorKind::untrusted);
}

TEST_F(Secrets, SealFillsTrustAndRoundTrips) {
  const auto secrets = ensure_secrets(path_, site_).value();
  const auto sealed = seal_site(site_, secrets).value();
  ASSERT_EQ(sealed.trust.bundle_keys.size(), 1U);
  const auto yaml = site_to_yaml(sealed);
  const auto again = parse_site(yaml, "sealed");
  ASSERT_TRUE(again) << again.error().render();
  EXPECT_EQ(site_to_yaml(*again), yaml);
  EXPECT_EQ(again->id(), sealed.id());
  EXPECT_EQ(again->trust.site_roots, sealed.trust.site_roots);
  EXPECT_EQ(sealed.id().size(), 16U);
  EXPECT_EQ(yaml.find("PRIVATE"), std::string::npos);
}

TEST_F(Secrets, SealRefusesAnotherSitesKey) {
  const auto secrets = ensure_secrets(path_, site_).value();
  site_.trust.bundle_keys = {PrivateKey::generate().public_key()};
  EXPECT_EQ(seal_site(site_, secrets).error().kind, ErrorKind::untrusted);
}

TEST_F(Secrets, SealRefusesAnotherSitesRoot) {
  const auto secrets = ensure_secrets(path_, site_).value();
  site_.trust.site_roots = {make_site_root(site_).value().certificate};
  EXPECT_EQ(seal_site(site_, secrets).error().kind, ErrorKind::untrusted);
  site_.trust.site_roots.push_back(secrets.site_root_cert + "\n");
  EXPECT_TRUE(seal_site(site_, secrets));
}

TEST_F(Secrets, SealNeedsASecretForEachNode) {
  auto secrets = ensure_secrets(path_, site_).value();
  secrets.enrolment.erase("node-2");
  const auto sealed = seal_site(site_, secrets);
  ASSERT_FALSE(sealed);
  EXPECT_THAT(sealed.error().what, HasSubstr("node-2"));
  EXPECT_THAT(sealed.error().hint, HasSubstr("bedplate site init"));
}

TEST_F(Secrets, WhatIsMissingIsMadeAndTheRestIsKept) {
  const auto first = ensure_secrets(path_, site_).value();
  auto object = read_json(path_).value();
  object.erase("operatorKey");
  object["enrolment"].erase("node-1");  // how a secret is revoked
  object["note"] = "ours";
  ASSERT_TRUE(write_file_atomic(path_, object.dump(), 0600));
  const auto second = ensure_secrets(path_, site_).value();
  EXPECT_EQ(second.bundle_key, first.bundle_key);
  EXPECT_EQ(second.site_root_key, first.site_root_key);
  EXPECT_EQ(second.enrolment.at("node-2"), first.enrolment.at("node-2"));
  EXPECT_NE(second.operator_key, first.operator_key);
  EXPECT_NE(second.enrolment.at("node-1"), first.enrolment.at("node-1"));
  EXPECT_EQ(read_json(path_).value()["note"], "ours");
}

TEST_F(Secrets, ABrokenFileIsReportedAndLeftAlone) {
  for (const std::string text :
       {"", "[]", "{\"enrolment\": 1}", "{\"bundleKey\": 7}", "{\"siteRoot\": \"x\"}",
        "{\"enrolment\": {\"a\": \"c2hvcnQ=\"}}"}) {
    ASSERT_TRUE(write_file_atomic(path_, text, 0600));
    const auto secrets = ensure_secrets(path_, site_);
    if (secrets) {  // what can be completed is
      EXPECT_EQ(text, "{\"siteRoot\": \"x\"}");
      continue;
    }
    EXPECT_EQ(secrets.error().kind, ErrorKind::invalid) << text;
    EXPECT_EQ(read_file(path_).value(), text);
  }
}

TEST_F(Secrets, TwoAtOnceAgree) {
  std::vector<std::string> keys(4);
  {
    std::vector<std::jthread> threads;
    for (auto& key : keys) {
      threads.emplace_back([&] { key = ensure_secrets(path_, site_).value().bundle_key; });
    }
  }
  for (const auto& key : keys) EXPECT_EQ(key, keys.front());
}

TEST_F(Secrets, ErrorsDoNotShowThem) {
  const auto secrets = ensure_secrets(path_, site_).value();
  auto text = read_file(path_).value();
  text.insert(text.size() - 3, "!");
  ASSERT_TRUE(write_file_atomic(path_, text, 0600));
  const auto broken = read_secrets(path_);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().render().find(base64_encode(secrets.enrolment.at("node-1"))),
            std::string::npos)
      << broken.error().render();
}

using CertificatePointer = std::unique_ptr<X509, decltype(&X509_free)>;

CertificatePointer certificate_from(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), -1), BIO_free);
  return {PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free};
}

/// What OpenSSL says about a server's certificate with the name ("DNS:…" or "IP:…") that the root
/// has signed: X509_V_OK or why not.
int verify_server(const SiteSecrets& secrets, const std::string& name,
                  int purpose = X509_PURPOSE_SSL_SERVER) {
  const auto root = certificate_from(secrets.site_root_cert);
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(secrets.site_root_key.data(), -1), BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  const CertificatePointer leaf(X509_new(), X509_free);
  X509_set_version(leaf.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(leaf.get()), 2);
  X509_gmtime_adj(X509_getm_notBefore(leaf.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(leaf.get()), 3600);
  X509_set_pubkey(leaf.get(), key.get());
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(root.get()));
  X509V3_CTX context;
  X509V3_set_ctx(&context, root.get(), leaf.get(), nullptr, nullptr, 0);
  auto* extension =
      X509V3_EXT_conf_nid(nullptr, &context, NID_subject_alt_name, ("critical," + name).c_str());
  X509_add_ext(leaf.get(), extension, -1);
  X509_EXTENSION_free(extension);
  X509_sign(leaf.get(), key.get(), EVP_sha256());

  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(),
                                                                      X509_STORE_free);
  X509_STORE_add_cert(store.get(), root.get());
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> check(X509_STORE_CTX_new(),
                                                                              X509_STORE_CTX_free);
  X509_STORE_CTX_init(check.get(), store.get(), leaf.get(), nullptr);
  X509_STORE_CTX_set_purpose(check.get(), purpose);
  (void)X509_verify_cert(check.get());
  return X509_STORE_CTX_get_error(check.get());
}

TEST_F(Secrets, SiteRootSpeaksForServersOfTheSiteOnly) {
  const auto secrets = ensure_secrets(path_, site_).value();
  const auto root = certificate_from(secrets.site_root_cert);
  ASSERT_TRUE(root);
  EXPECT_NE(X509_get_extension_flags(root.get()) & EXFLAG_CA, 0U);
  EXPECT_EQ(X509_get_extended_key_usage(root.get()), unsigned{XKU_SSL_SERVER});
  EXPECT_EQ(X509_get_pathlen(root.get()), 1);
  EXPECT_EQ(verify_server(secrets, "DNS:harbor.two-nodes.example"), X509_V_OK);
  EXPECT_EQ(verify_server(secrets, "IP:192.0.2.12"), X509_V_OK);
  for (const std::string name : {"DNS:bank.example", "DNS:two-nodes.example.bank.example",
                                 "IP:198.51.100.1", "IP:2001:db8::1"}) {
    EXPECT_EQ(verify_server(secrets, name), X509_V_ERR_PERMITTED_VIOLATION) << name;
  }
  EXPECT_EQ(verify_server(secrets, "DNS:node-1.two-nodes.example", X509_PURPOSE_SSL_CLIENT),
            X509_V_ERR_INVALID_PURPOSE);
}

TEST_F(Secrets, ARootForTheSiteAsItWasIsReplacedAndKept) {
  const auto first = ensure_secrets(path_, site_).value();
  site_.domain = "renamed.example";
  const auto second = ensure_secrets(path_, site_).value();
  EXPECT_NE(second.site_root_cert, first.site_root_cert);
  EXPECT_EQ(second.bundle_key, first.bundle_key);
  EXPECT_TRUE(permits(second.site_root_cert, site_));
  const auto object = read_json(path_).value();
  EXPECT_EQ(object["earlierSiteRoots"].size(), 1U);
  EXPECT_EQ(object["earlierSiteRoots"][0]["cert"], first.site_root_cert);
  // A network that is no longer used is no reason for a new root.
  site_.nodes.pop_back();
  EXPECT_EQ(ensure_secrets(path_, site_).value().site_root_cert, second.site_root_cert);
}

TEST_F(Secrets, EnrolmentSurvivesItsFile) {
  const auto secrets = ensure_secrets(path_, site_).value();
  const auto path = folder_.path() / "enrolment.json";
  ASSERT_TRUE(write_file_atomic(path, enrolment_to_json(secrets.enrolment), 0600));
  EXPECT_EQ(read_enrolment(path).value(), secrets.enrolment);
  ASSERT_TRUE(write_file_atomic(path, R"({"node-1":"c2hvcnQ="})", 0600));
  EXPECT_EQ(read_enrolment(path).error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace bedplate

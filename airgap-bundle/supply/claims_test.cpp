#include "airgap-bundle/supply/claims.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/tests/signing.hpp"

namespace bedplate::supply {
namespace {

using bundle_test::envelope;
using bundle_test::Signer;
using bundle_test::simple_payload;
using bundle_test::statement;
using testing::HasSubstr;

const std::string manifest_text = "a manifest";
const Digest digest = Digest::of(manifest_text);
const std::map<Digest, std::string> manifests{{digest, manifest_text}};

VerificationKey key_of(const Signer& signer) {
  return *VerificationKey::from_pem(signer.public_pem(), "test.pub");
}

Result<Claim> verify_with(const SignedDocument& document, const Signer& signer) {
  return verify(document, std::vector{key_of(signer)}, manifests);
}

SignedDocument simple(const Signer& signer, const std::string& payload) {
  return {"a tag", std::string(oci::media::simple_signing), payload,
          base64_encode(signer.sign(payload))};
}

SignedDocument dsse(const Json& content) {
  return {"a digest", std::string(oci::media::dsse), content.dump(), {}};
}

SignedDocument sigstore(const std::string& content) {
  return {"a digest", std::string(oci::media::sigstore_bundle) + ".v0.3+json", content, {}};
}

TEST(VerificationKey, EveryKindVerifiesItsOwnSignaturesOnly) {
  for (const auto& signer : {Signer::ecdsa(), Signer::rsa(), Signer::ed25519()}) {
    const auto key = key_of(signer);
    const auto signature = signer.sign("message");
    EXPECT_TRUE(key.verifies("message", signature));
    EXPECT_FALSE(key.verifies("messagf", signature));
    EXPECT_FALSE(key.verifies("message", signature.substr(1)));
    EXPECT_FALSE(key.verifies("message", ""));
    EXPECT_FALSE(key_of(Signer::ecdsa()).verifies("message", signature));
    EXPECT_THAT(key.label(), HasSubstr("test.pub (SHA256:"));
  }
}

TEST(VerificationKey, RefusesWhatItCannotCheck) {
  for (const auto& pem : {std::string("no key"), std::string(), Signer::ecdsa("P-384").public_pem(),
                          Signer::rsa(1024).public_pem()}) {
    const auto key = VerificationKey::from_pem(pem, "test.pub");
    ASSERT_FALSE(key) << pem;
    EXPECT_EQ(key.error().kind, ErrorKind::invalid);
    EXPECT_THAT(key.error().what, HasSubstr("test.pub"));
    EXPECT_FALSE(key.error().hint.empty());
  }
}

TEST(Claims, SimpleSigningNamesImageAndRepository) {
  const auto signer = Signer::ecdsa();
  const auto document = simple(signer, simple_payload(digest.str(), "r.example/a"));
  const auto claim = verify_with(document, signer);
  ASSERT_TRUE(claim) << claim.error().render();
  EXPECT_EQ(claim->subjects, std::vector{digest});
  EXPECT_EQ(claim->repository, "r.example/a");
  EXPECT_EQ(claim->predicate, "");
  EXPECT_EQ(verify_with(document, Signer::ecdsa()).error().kind, ErrorKind::untrusted);
}

TEST(Claims, AChangedPayloadIsUntrusted) {
  const auto signer = Signer::ed25519();
  auto document = simple(signer, simple_payload(digest.str(), "r.example/a"));
  document.content = simple_payload(digest.str(), "r.example/b");
  EXPECT_EQ(verify_with(document, signer).error().kind, ErrorKind::untrusted);
  document.signature = "not base64!";
  EXPECT_EQ(verify_with(document, signer).error().kind, ErrorKind::untrusted);
}

TEST(Claims, WhatIsSignedMustBeAboutAnImage) {
  const auto signer = Signer::ecdsa();
  for (const auto* payload :
       {"{}", "[]", "no JSON", R"({"critical": {"type": "cosign container image signature"}})",
        R"({"critical": {"type": "another", "image": {"docker-manifest-digest": "sha256:00"}}})"}) {
    const auto claim = verify_with(simple(signer, payload), signer);
    ASSERT_FALSE(claim) << payload;
    EXPECT_EQ(claim.error().kind, ErrorKind::invalid) << payload;
  }
}

TEST(Claims, EnvelopeInBothPlaces) {
  const auto signer = Signer::ecdsa();
  const auto signed_statement = envelope(signer, statement(digest.str(), "https://type.example"));
  for (const auto& document :
       {dsse(signed_statement), sigstore(bundle_test::sigstore_bundle(signed_statement))}) {
    const auto claim = verify_with(document, signer);
    ASSERT_TRUE(claim) << claim.error().render();
    EXPECT_EQ(claim->subjects, std::vector{digest});
    EXPECT_EQ(claim->predicate, "https://type.example");
    EXPECT_EQ(verify_with(document, Signer::rsa()).error().kind, ErrorKind::untrusted);
  }
}

TEST(Claims, CosignsOwnPredicateIsASignature) {
  const auto signer = Signer::ecdsa();
  const auto claim = verify_with(
      dsse(envelope(signer, statement(digest.str(), "https://sigstore.dev/cosign/sign/v1"))),
      signer);
  ASSERT_TRUE(claim);
  EXPECT_EQ(claim->predicate, "");
}

TEST(Claims, TheTypeOfThePayloadIsSignedToo) {
  const auto signer = Signer::ecdsa();
  auto document = envelope(signer, statement(digest.str(), "t"), "text/plain");
  EXPECT_EQ(verify_with(dsse(document), signer).error().kind, ErrorKind::invalid);
  document["payloadType"] = "application/vnd.in-toto+json";
  EXPECT_EQ(verify_with(dsse(document), signer).error().kind, ErrorKind::untrusted);
}

TEST(Claims, AChangedStatementIsUntrusted) {
  const auto signer = Signer::ecdsa();
  auto document = envelope(signer, statement(digest.str(), "t"));
  document["payload"] = base64_encode(statement(digest.str(), "u"));
  EXPECT_EQ(verify_with(dsse(document), signer).error().kind, ErrorKind::untrusted);
  document["signatures"] = Json::array();
  EXPECT_EQ(verify_with(dsse(document), signer).error().kind, ErrorKind::untrusted);
}

TEST(Claims, ASignatureOverTheManifestItself) {
  const auto signer = Signer::ecdsa();
  const auto document = [&](const std::string& message) {
    const auto bytes = Digest::of(message).bytes;
    return sigstore(
        Json{{"messageSignature",
              {{"messageDigest", {{"algorithm", "SHA2_256"}, {"digest", base64_encode(bytes)}}},
               {"signature", base64_encode(signer.sign(message))}}}}
            .dump());
  };
  const auto claim = verify_with(document(manifest_text), signer);
  ASSERT_TRUE(claim) << claim.error().render();
  EXPECT_EQ(claim->subjects, std::vector{digest});
  EXPECT_EQ(verify_with(document("another"), signer).error().kind, ErrorKind::untrusted);
  EXPECT_EQ(verify_with(document(manifest_text), Signer::ecdsa()).error().kind,
            ErrorKind::untrusted);
}

TEST(Claims, GarbageIsRefused) {
  const auto signer = Signer::ecdsa();
  for (const auto* text : {"", "[]", "{}", "7", R"({"dsseEnvelope": 1})",
                           R"({"dsseEnvelope": {"payload": 1}})", R"({"messageSignature": {}})",
                           R"({"dsseEnvelope": {"payload": "", "signatures": [1, {"sig": 2}]}})"}) {
    EXPECT_FALSE(verify_with(sigstore(text), signer)) << text;
    EXPECT_FALSE(verify_with({"", std::string(oci::media::dsse), text, {}}, signer)) << text;
  }
}

}  // namespace
}  // namespace bedplate::supply

#include "core/signature.hpp"

#include <gtest/gtest.h>

namespace bedplate {
namespace {

TEST(Signature, VerifiesItsOwnAndNothingElse) {
  const auto key = PrivateKey::generate();
  const auto signature = key.sign("message");
  EXPECT_TRUE(key.public_key().verify("message", signature));
  EXPECT_EQ(key.public_key().verify("massage", signature).error().kind, ErrorKind::untrusted);
  EXPECT_FALSE(PrivateKey::generate().public_key().verify("message", signature));
  EXPECT_FALSE(key.public_key().verify("message", signature.substr(1)));
  auto flipped = signature;
  flipped[10] = static_cast<char>(flipped[10] ^ 1);
  EXPECT_FALSE(key.public_key().verify("message", flipped));
}

TEST(Signature, KeysSurviveTheirTextForms) {
  const auto key = PrivateKey::generate();
  EXPECT_EQ(PrivateKey::from_pem(key.to_pem())->public_key(), key.public_key());
  EXPECT_EQ(PublicKey::parse(key.public_key().str()).value(), key.public_key());
}

TEST(Signature, RefusesOtherText) {
  EXPECT_EQ(PublicKey::parse("ed25519:AAAA").error().kind, ErrorKind::invalid);
  EXPECT_EQ(PublicKey::parse("rsa:AAAA").error().kind, ErrorKind::invalid);
  EXPECT_EQ(PrivateKey::from_pem("nonsense").error().kind, ErrorKind::invalid);
}

TEST(Signature, FingerprintIsForPeople) {
  const auto key = PublicKey::parse("ed25519:" + std::string(43, 'A') + "=").value();
  EXPECT_EQ(key.fingerprint(), "SHA256:6668-7aad-f862-bd77-6c8f-c18b-8e9f-8e20-0897-1485");
}

}  // namespace
}  // namespace bedplate

#include "core/digest.hpp"

#include <gtest/gtest.h>

namespace bedplate {
namespace {

TEST(Digest, KnownAnswers) {  // FIPS 180-4 examples
  EXPECT_EQ(Digest::of("").str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Digest::of("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, StreamingEqualsOneShot) {
  Sha256 hash;
  hash.update("a");
  hash.update("bc");
  EXPECT_EQ(hash.finish(), Digest::of("abc"));
}

TEST(Digest, ParsesOnlyItsOwnForm) {
  const auto text = Digest::of("abc").str();
  EXPECT_EQ(Digest::parse(text).value(), Digest::of("abc"));
  EXPECT_EQ(Digest::parse("sha512:00").error().kind, ErrorKind::unsupported);
  for (const auto& bad : {std::string(), std::string("sha256:"), text + "0",
                          "sha256:" + std::string(64, 'A'), std::string(71, 'x')}) {
    EXPECT_EQ(Digest::parse(bad).error().kind, ErrorKind::invalid) << bad;
  }
}

TEST(Encoding, RoundTripsAndRefuses) {
  for (const std::string text : {"", "f", "fo", "foo", "foob"}) {
    EXPECT_EQ(base64_decode(base64_encode(text)).value(), text);
  }
  EXPECT_EQ(base64_encode(std::string_view("foob")), "Zm9vYg==");  // RFC 4648 section 10
  EXPECT_FALSE(base64_decode("Zg="));
  EXPECT_FALSE(base64_decode("Z!=="));
  EXPECT_EQ(hex_decode("00ff").value(), std::string("\0\xff", 2));
  EXPECT_FALSE(hex_decode("0"));
  EXPECT_FALSE(hex_decode("0G"));
}

TEST(Hmac, KnownAnswer) {  // RFC 4231 test case 2
  const auto mac = hmac_sha256("Jefe", "what do ya want for nothing?");
  EXPECT_EQ(hex_encode(std::as_bytes(std::span(mac))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Hmac, ComparesWholeStrings) {
  EXPECT_TRUE(constant_time_equal("same", "same"));
  EXPECT_FALSE(constant_time_equal("same", "sane"));
  EXPECT_FALSE(constant_time_equal("same", "sam"));
}

TEST(Random, Differs) {
  EXPECT_NE(random_bytes(32), random_bytes(32));
}

}  // namespace
}  // namespace bedplate

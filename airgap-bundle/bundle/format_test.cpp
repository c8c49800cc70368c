#include "airgap-bundle/bundle/format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"

namespace bedplate::bundle {
namespace {

using ::testing::HasSubstr;

Header sample() {
  Header header;
  header.name = "two-nodes";
  header.version = "2026.11.0";
  header.created_at = WallTime(std::chrono::seconds(1'000'000'000));
  const auto add = [&](std::string path, std::string_view content, std::uint64_t offset) {
    header.entries.push_back({std::move(path), Digest::of(content), content.size(), offset});
  };
  const auto blob = Digest::of(std::string_view("hello"));
  add("blobs/sha256/" + blob.hex(), "hello", 1024);
  add("oci-layout", R"({"imageLayoutVersion":"1.0.0"})", 2048);
  add("index.json", "{}", 3072);
  header.images.push_back({"registry.example/a:1", blob, "application/x", "by hand", blob});
  header.artifacts.push_back({"tools", "v1", blob, ""});
  header.charts.push_back({"harbor", "1.18.0", "harbor", blob, {blob}, {"example.com/v1"}, "here"});
  header.allowances.push_back({"registry.example/b:1", "never used"});
  header.elsewhere.push_back({Digest::of(std::string_view("elsewhere")), 9});
  header.complete = blob;
  return header;
}

TEST(BundleHeader, JsonIsReadBackAsItWas) {
  const auto parsed = parse_header(to_json_text(sample()));
  ASSERT_TRUE(parsed) << parsed.error().render();
  EXPECT_EQ(to_json_text(*parsed), to_json_text(sample()));
  EXPECT_EQ(parsed->images.front().provenance, "by hand");
  EXPECT_EQ(parsed->elsewhere.front().size, 9U);
  EXPECT_EQ(parsed->complete, Digest::of(std::string_view("hello")));
  EXPECT_NE(parsed->find(Digest::of(std::string_view("hello"))), nullptr);
  EXPECT_EQ(parsed->artifact("tools")->version, "v1");
  EXPECT_EQ(parsed->artifact("other"), nullptr);
}

// The bytes that docs/bundle-format.md promises: a change here is a new format version.
TEST(BundleHeader, GoldenJson) {
  Header header = sample();
  header.images.clear();
  header.artifacts.clear();
  header.charts.clear();
  header.allowances.clear();
  header.elsewhere.clear();
  header.complete.reset();
  header.entries.resize(1);
  EXPECT_EQ(
      to_json_text(header),
      R"({"artifacts":[],"createdAt":"2001-09-09T01:46:40Z","entries":[{"digest":"sha256:2cf2)"
      R"(4dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","offset":1024,"path":")"
      R"(blobs/sha256/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","size)"
      R"(":5}],"images":[],"name":"two-nodes","version":"2026.11.0"})");
}

TEST(BundleHeader, SignedFormIsPreambleThenJson) {
  const auto key = PrivateKey::generate();
  const auto content = sign_header("{}  ", key);
  ASSERT_EQ(content.size(), preamble_size + 4);
  EXPECT_EQ(content.substr(0, 16), std::string("BEDPLATE-BUNDLE\0", 16));
  EXPECT_EQ(content.substr(16, 12), std::string("\1\0\0\0\4\0\0\0\0\0\0\0", 12));
  EXPECT_EQ(content.substr(28, 32), key.public_key().key_id());
  EXPECT_EQ(content.substr(preamble_size), "{}  ");
  const auto message = content.substr(0, 60) + "{}  ";
  EXPECT_TRUE(key.public_key().verify(message, content.substr(60, 64)));
}

TEST(BundleHeader, EveryFlippedBitOfThePreambleIsRefused) {
  const auto key = PrivateKey::generate();
  const std::vector trusted{key.public_key()};
  const auto good = sign_header("{}", key);
  for (std::size_t byte = 0; byte < preamble_size; ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      auto bad = good;
      bad[byte] = static_cast<char>(bad[byte] ^ (1 << bit));
      const auto preamble = parse_preamble(std::string_view(bad).substr(0, preamble_size));
      if (!preamble) continue;
      EXPECT_FALSE(preamble->json_length == 2 && verify_header(*preamble, "{}", trusted))
          << "byte " << byte << " bit " << bit;
    }
  }
}

TEST(BundleHeader, OtherVersionsAreUnsupported) {
  auto content = sign_header("{}", PrivateKey::generate());
  content[16] = 2;
  const auto preamble = parse_preamble(content);
  ASSERT_FALSE(preamble);
  EXPECT_EQ(preamble.error().kind, ErrorKind::unsupported);
  EXPECT_FALSE(preamble.error().hint.empty());
}

TEST(BundleHeader, AbsurdLengthIsRefusedBeforeItIsRead) {
  auto content = sign_header("{}", PrivateKey::generate());
  content[27] = '\x7f';
  const auto preamble = parse_preamble(content);
  ASSERT_FALSE(preamble);
  EXPECT_EQ(preamble.error().kind, ErrorKind::corrupt);
}

TEST(BundleHeader, UnknownKeyIsUntrustedAndTheTrustedOnesAreNamed) {
  const auto other = PrivateKey::generate().public_key();
  const auto preamble = parse_preamble(sign_header("{}", PrivateKey::generate()));
  ASSERT_TRUE(preamble);
  const auto checked = verify_header(*preamble, "{}", std::vector{other});
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind, ErrorKind::untrusted);
  EXPECT_THAT(checked.error().what, HasSubstr(other.fingerprint()));
}

/// A signer's mistake may not become a wrong read.
class BrokenHeader : public ::testing::TestWithParam<std::pair<const char*, void (*)(Header&)>> {};

TEST_P(BrokenHeader, IsCorrupt) {
  auto header = sample();
  GetParam().second(header);
  const auto parsed = parse_header(to_json_text(header));
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().kind, ErrorKind::corrupt);
}

INSTANTIATE_TEST_SUITE_P(
    All, BrokenHeader,
    ::testing::Values(std::pair{"Gap", +[](Header& h) { h.entries[1].offset += 512; }},
                      std::pair{"Overlap", +[](Header& h) { h.entries[2].offset -= 512; }},
                      std::pair{"Twice", +[](Header& h) { h.entries.push_back(h.entries[0]); }},
                      std::pair{"Path",
                                +[](Header& h) { h.entries[0].path = "blobs/sha256/../../x"; }},
                      std::pair{"Absolute", +[](Header& h) { h.entries[0].path = "/etc/passwd"; }},
                      std::pair{"NoIndex", +[](Header& h) { h.entries.pop_back(); }},
                      std::pair{"Empty", +[](Header& h) { h.entries.clear(); }},
                      std::pair{"Size", +[](Header& h) { h.entries[2].size = ~std::uint64_t{0}; }},
                      std::pair{"Image", +[](Header& h) { h.images[0].digest = {}; }},
                      std::pair{"Artifact", +[](Header& h) { h.artifacts[0].digest = {}; }}),
    [](const auto& info) { return std::string(info.param.first); });

TEST(TarHeader, IsUstarWithARightChecksum) {
  const auto block = tar_header("index.json", 1000);
  ASSERT_EQ(block.size(), 512U);
  EXPECT_EQ(block.substr(0, 11), std::string("index.json\0", 11));
  EXPECT_EQ(block.substr(124, 12), std::string("00000001750\0", 12));
  EXPECT_EQ(block.substr(257, 8), std::string("ustar\00000", 8));
  unsigned sum = 8 * ' ';
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (i < 148 || i >= 156) sum += static_cast<unsigned char>(block[i]);
  }
  EXPECT_EQ(std::stoul(block.substr(148, 6), nullptr, 8), sum);
}

TEST(TarHeader, KnowsSizesOver8GiB) {
  const auto block = tar_header("x", 0x2'1234'5678);
  EXPECT_EQ(block.substr(124, 12), std::string("\x80\0\0\0\0\0\0\x02\x12\x34\x56\x78", 12));
}

}  // namespace
}  // namespace bedplate::bundle

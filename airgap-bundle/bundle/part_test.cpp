#include "airgap-bundle/bundle/part.hpp"

#include <gtest/gtest.h>

namespace bedplate::bundle {
namespace {

PartHeader sample() {
  PartHeader header;
  header.number = 2;
  header.layout = {10'000, 4096};
  header.set = Digest::of(std::string_view("set"));
  header.content = Digest::of(std::string_view("content"));
  return header;
}

/// With another number at that place, and the header's own checksum made right again.
std::string with(std::size_t at, std::uint64_t value, unsigned size) {
  auto bytes = to_bytes(sample());
  for (unsigned i = 0; i < size; ++i) bytes[at + i] = static_cast<char>((value >> (8 * i)) & 255U);
  const auto digest = Digest::of(std::string_view(bytes).substr(0, 120));
  for (std::size_t i = 0; i < 32; ++i) bytes[120 + i] = static_cast<char>(digest.bytes[i]);
  return bytes;
}

TEST(PartHeader, IsReadBackAsItWas) {
  const auto parsed = parse_part_header(to_bytes(sample()));
  ASSERT_TRUE(parsed) << parsed.error().render();
  EXPECT_EQ(parsed->number, 2U);
  EXPECT_EQ(parsed->layout, sample().layout);
  EXPECT_EQ(parsed->set, sample().set);
  EXPECT_EQ(parsed->content, sample().content);
  EXPECT_EQ(parsed->offset(), 4096U);
  EXPECT_EQ(parsed->size(), 4096U);
}

TEST(PartHeader, TheLastPartIsTheRest) {
  EXPECT_EQ(sample().layout.count(), 3U);
  EXPECT_EQ(sample().layout.offset(3), 8192U);
  EXPECT_EQ(sample().layout.size(3), 10'000U - 8192U);
}

// The bytes that docs/bundle-format.md promises.
TEST(PartHeader, GoldenBytes) {
  const auto bytes = to_bytes(sample());
  ASSERT_EQ(bytes.size(), 512U);
  EXPECT_EQ(bytes.substr(0, 16), std::string("BEDPLATE-PART\0\0\0", 16));
  EXPECT_EQ(bytes.substr(16, 16), std::string("\1\0\0\0\2\0\0\0\3\0\0\0\0\0\0\0", 16));
  EXPECT_EQ(bytes.substr(32, 24),
            std::string("\x10\x27\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x10\0\0\0\0\0\0", 24));
  EXPECT_EQ(bytes.substr(152), std::string(360, '\0'));
}

TEST(PartHeader, EveryFlippedBitIsRefused) {
  const auto good = to_bytes(sample());
  for (std::size_t byte = 0; byte < good.size(); ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      auto bad = good;
      bad[byte] = static_cast<char>(bad[byte] ^ (1 << bit));
      EXPECT_FALSE(parse_part_header(bad)) << "byte " << byte << " bit " << bit;
    }
  }
}

TEST(PartHeader, AShortOneIsCorrupt) {
  const auto good = to_bytes(sample());
  for (const std::size_t size : {0, 15, 16, 151, 511}) {
    const auto parsed = parse_part_header(std::string_view(good).substr(0, size));
    ASSERT_FALSE(parsed) << size;
    EXPECT_EQ(parsed.error().kind, ErrorKind::corrupt) << size;
  }
}

TEST(PartHeader, ALaterVersionIsUnsupported) {
  const auto parsed = parse_part_header(with(16, 2, 4));
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().kind, ErrorKind::unsupported);
}

struct Lie {
  const char* name;
  std::size_t at;
  std::uint64_t value;
  unsigned size;
};

/// The checksum is no signature: anybody can make it right. The numbers must fit all the same.
class PartHeaderLies : public ::testing::TestWithParam<Lie> {};

TEST_P(PartHeaderLies, AreCorrupt) {
  const auto& lie = GetParam();
  const auto parsed = parse_part_header(with(lie.at, lie.value, lie.size));
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().kind, ErrorKind::corrupt);
}

INSTANTIATE_TEST_SUITE_P(
    All, PartHeaderLies,
    ::testing::Values(Lie{"NumberZero", 20, 0, 4}, Lie{"NumberBehindTheLast", 20, 4, 4},
                      Lie{"NumberHuge", 20, 0xffff'ffff, 4}, Lie{"CountZero", 24, 0, 4},
                      Lie{"CountOther", 24, 4, 4}, Lie{"CountHuge", 24, 0xffff'ffff, 4},
                      Lie{"Reserved", 28, 1, 4}, Lie{"TotalZero", 32, 0, 8},
                      Lie{"TotalHuge", 32, ~std::uint64_t{0}, 8}, Lie{"LengthZero", 40, 0, 8},
                      Lie{"LengthOdd", 40, 4097, 8}, Lie{"LengthHuge", 40, ~std::uint64_t{511}, 8},
                      Lie{"SizeOther", 48, 4095, 8}, Lie{"SizeHuge", 48, ~std::uint64_t{0}, 8}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace bedplate::bundle

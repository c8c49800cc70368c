#include "core/text.hpp"

#include <gtest/gtest.h>

namespace bedplate {
namespace {

TEST(Text, LowersLettersOnly) {
  EXPECT_EQ(lower("Content-Type: A\xC3\x84"), "content-type: a\xC3\x84");
}

TEST(Text, TrimsBothEnds) {
  EXPECT_EQ(trimmed(" \tgzip, zstd\r\n"), "gzip, zstd");
  EXPECT_EQ(trimmed(" \r\n"), "");
  EXPECT_EQ(trimmed(""), "");
}

TEST(Text, ANumberFillsItsText) {
  EXPECT_EQ(parse_unsigned("0"), 0U);
  EXPECT_EQ(parse_unsigned("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_unsigned<unsigned>("0755", 8), 0755U);
  EXPECT_EQ(parse_unsigned<std::uint16_t>("65535"), 65535U);
  for (const auto* text : {"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "18446744073709551616"}) {
    EXPECT_FALSE(parse_unsigned(text)) << text;
  }
  EXPECT_FALSE(parse_unsigned<std::uint16_t>("65536"));
  EXPECT_FALSE(parse_unsigned<unsigned>("8", 8));
}

TEST(Text, DecodesPercents) {
  std::string text = "/";
  append_percent_decoded(text, "a%2fb%3A%00%zz%4");
  EXPECT_EQ(text, std::string("/a/b:\0%zz%4", 11));
}

TEST(Text, KnowsUtf8) {
  for (const auto* text : {"", "a\n", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  for (const auto* text :
       {"\xff", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80"}) {
    EXPECT_FALSE(is_utf8(text));
  }
}

TEST(Text, NothingInItSteersATerminal) {
  EXPECT_EQ(presentable("caf\xC3\xA9\n\tend"), "caf\xC3\xA9\n\tend");
  EXPECT_EQ(presentable("\x1b[2J\r\x07\x7f"), "?[2J???");
  EXPECT_EQ(presentable("\xC2\x9B"
                        "1m \xff\xC3"),
            "?1m ??");
  EXPECT_EQ(presentable(std::string_view("\0", 1)), "?");
}

}  // namespace
}  // namespace bedplate

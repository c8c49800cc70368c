#include "core/yaml.hpp"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/yaml_tree.hpp"

namespace bedplate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

YamlNode parsed(std::string_view text) {
  return YamlNode::parse(text, "f.yaml").value();
}

std::string refusal(std::string_view text) {
  const auto node = YamlNode::parse(text, "f.yaml");
  return node ? "accepted" : node.error().what;
}

std::vector<std::string> lines(const YamlNode& root) {
  std::vector<std::string> out;
  for (const auto& finding : root.findings()) out.push_back(finding.str());
  return out;
}

TEST(Yaml, NearestNamesOnlyTypos) {
  const std::vector<std::string> words{"control-plane", "worker", "mac", "minSize"};
  EXPECT_EQ(nearest("wroker", words).value(), "worker");
  EXPECT_EQ(nearest("controlplane", words).value(), "control-plane");
  EXPECT_EQ(nearest("minsize", words).value(), "minSize");
  EXPECT_EQ(nearest("amc", words).value(), "mac");
  EXPECT_FALSE(nearest("zebra", words));
  EXPECT_FALSE(nearest("x", words));
  EXPECT_FALSE(nearest("", words));
  EXPECT_FALSE(nearest("worker", {}));
  EXPECT_FALSE(nearest(std::string(1'000'000, 'w'), words));
}

TEST(Yaml, PassesPatchesThroughAsJson) {
  const auto root =
      parsed("a: {b: [1, \"2\", true, x, -1.5e3], c: null, d: 0123, e: .inf, f: inf}");
  EXPECT_EQ(root["a"].to_json_text(),
            R"({"b":[1,"2",true,"x",-1500.0],"c":null,"d":"0123","e":".inf","f":"inf"})");
  EXPECT_EQ(root["missing"].to_json_text(), "null");
}

TEST(Yaml, FindingsKnowTheirPlace) {
  const auto root = parsed("a:\n  - b: 1\n  - b: x\n");
  const auto items = root["a"].list();
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[1]["b"].path(), "a[1].b");
  EXPECT_EQ(items[1]["b"].line(), 3);
  EXPECT_EQ(items[1]["b"].integer(7, 0, 9), 7);
  EXPECT_EQ(items[0]["b"].integer(7, 0, 9), 1);
  EXPECT_THAT(lines(root), ElementsAre("f.yaml:3:8: a[1].b: must be a whole number from 0 to 9"));
}

TEST(Yaml, FindingsComeInTheOrderOfTheFile) {
  const auto root = parsed("a: 1\nb: 2\nc: 3\n");
  for (const auto* key : {"c", "a", "b"}) root[key].finding("no");
  EXPECT_THAT(lines(root),
              ElementsAre("f.yaml:1:4: a: no", "f.yaml:2:4: b: no", "f.yaml:3:4: c: no"));
}

TEST(Yaml, WhatIsAbsentIsReportedAtItsParent) {
  const auto root = parsed("x: 1\na:\n  b: 1\n");
  EXPECT_EQ(root["a"]["c"].string(), "");
  EXPECT_EQ(root["a"]["c"].string(false, "d"), "d");
  EXPECT_THAT(lines(root), ElementsAre("f.yaml:3:3: a.c: is required"));
}

TEST(Yaml, UnknownAndRepeatedKeys) {
  const auto root = parsed("kind: x\nnods: 1\nkind: y\n? [a]\n: 1\n");
  root.expect_map({"kind", "nodes"});
  EXPECT_THAT(lines(root),
              ElementsAre("f.yaml:2:1: nods: is not a field here; did you mean 'nodes'? (allowed: "
                          "kind, nodes)",
                          "f.yaml:3:1: kind: is given twice",
                          "f.yaml:4:3: ?: is not a field here (allowed: kind, nodes)"));
  EXPECT_THAT(root.keys(), ElementsAre("kind", "nods", "kind"));
}

TEST(Yaml, Scalars) {
  const auto root =
      parsed("t: true\nf: false\nyes: yes\nn: -3\nbig: 99999999999999999999\nl: [a, b]\ne:\n");
  EXPECT_TRUE(root["t"].boolean(false));
  EXPECT_FALSE(root["f"].boolean(true));
  EXPECT_TRUE(root["none"].boolean(true));
  EXPECT_EQ(root["n"].integer(0, -5, 5), -3);
  EXPECT_THAT(root["l"].strings(), ElementsAre("a", "b"));
  EXPECT_FALSE(root["e"].present());
  EXPECT_TRUE(root.findings().empty());
  EXPECT_TRUE(root["yes"].boolean(true));
  EXPECT_EQ(root["big"].integer(1, 0, 5), 1);
  EXPECT_EQ(root["l"].string(), "");
  EXPECT_TRUE(root["t"].list().empty());
  EXPECT_EQ(root.findings().size(), 4U);
}

TEST(Yaml, Sizes) {
  const auto root =
      parsed("[16GiB, 500 MB, 4096, 1TiB, 0B, 16 gib, -1, 1.5GiB, 99999999TiB, x, []]");
  const auto items = root.list();
  EXPECT_EQ(items[0].bytes(1), 16ULL << 30);
  EXPECT_EQ(items[1].bytes(1), 500'000'000U);
  EXPECT_EQ(items[2].bytes(1), 4096U);
  EXPECT_EQ(items[3].bytes(1), 1ULL << 40);
  EXPECT_EQ(items[4].bytes(1), 0U);
  EXPECT_TRUE(root.findings().empty());
  for (std::size_t i = 5; i < items.size(); ++i) EXPECT_EQ(items[i].bytes(7), 7U) << i;
  EXPECT_EQ(root.findings().size(), items.size() - 5);
}

TEST(Yaml, Limits) {
  EXPECT_THAT(refusal(std::string((4U << 20) + 1, ' ')), HasSubstr("4 MiB"));
  std::string many;
  for (int i = 0; i < 10'001; ++i) many += "- x\n";
  EXPECT_THAT(refusal(many), HasSubstr("more than 10000 values"));
  EXPECT_THAT(refusal(std::string(100, '[') + std::string(100, ']')), HasSubstr("deeper than 64"));
  EXPECT_THAT(refusal(std::string(4U << 20, '[')), HasSubstr("f.yaml"));
  EXPECT_THAT(refusal("&a [*a]"), HasSubstr("deeper than 64"));
}

TEST(Yaml, AliasBombsAreRefused) {
  std::string text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c <= 'h'; ++c) {
    text += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 10; ++i) text += std::string(i == 0 ? "" : ",") + "*" + char(c - 1);
    text += "]\n";
  }
  EXPECT_THAT(refusal(text), HasSubstr("more than 10000 values"));
}

TEST(Yaml, SyntaxErrorsHaveAPlace) {
  EXPECT_EQ(refusal("a: 1\nb: [1, 2\n"),
            "f.yaml has 1 mistake:\nf.yaml:3:1: not YAML: end of sequence flow not found");
  EXPECT_THAT(refusal("a: *nobody"), HasSubstr("f.yaml:1:4"));
  EXPECT_THAT(refusal("# only a comment\n"), HasSubstr("empty"));
}

TEST(Yaml, AFileCannotWriteToTheTerminal) {
  const auto root = parsed("a: \"\\e[2J\\nerror: x\"\n\"\\e\": 1\n");
  root.expect_map({"a"});
  (void)root["a"].choice({"x"}, true);
  for (const auto& line : lines(root)) {
    EXPECT_EQ(line.find_first_of("\x1b\n"), std::string::npos) << line;
  }
  EXPECT_EQ(yaml::printable("Straße ☃ \x7f\x80\xc2\x9b\xed\xa0\x80\xf0\x9f"), "Straße ☃ ????????");
  EXPECT_LT(yaml::printable(std::string(100'000, 'x')).size(), 700U);
}

/// Goes everywhere and asks everything.
void walk(const YamlNode& node, int depth) {
  node.expect_map({"a"});
  (void)node.string();
  (void)node.boolean(true);
  (void)node.integer(0, 0, 1);
  (void)node.bytes(0);
  (void)node.choice({"a"}, true);
  (void)node.to_json_text();
  if (depth == 0) return;
  for (const auto& item : node.list()) walk(item, depth - 1);
  for (const auto& key : node.keys()) walk(node[key], depth - 1);
}

TEST(Yaml, OtherEncodingsAreRefused) {
  const auto root = YamlNode::parse("a: \xff", "bundle.yaml");
  ASSERT_FALSE(root);
  EXPECT_EQ(root.error().kind, ErrorKind::invalid);
}

TEST(Yaml, RandomTextNeverCrashesIt) {
  std::minstd_rand random(1);
  constexpr std::string_view alphabet = "ab: -[]{},&*!|>'\"%@`#?\n\t\r\\x\xc3\xff~<=0.";
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    const auto length = random() % 60;
    for (unsigned i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
    const auto root = YamlNode::parse(text, "fuzz");
    if (!root) continue;
    walk(*root, 3);
    (void)report_findings(root->findings());
  }
}

}  // namespace
}  // namespace bedplate

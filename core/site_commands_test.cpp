#include <CLI/CLI.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/command.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/site.hpp"

namespace bedplate {
namespace {

using testing::HasSubstr;

struct Outcome {
  Result<int> code = 0;
  std::string out;
};

/// The command line as main runs it.
Outcome run(const std::string& line, bool json = false) {
  CLI::App app;
  Invocation invocation;
  add_site_commands(app, invocation);
  app.parse(line);
  invocation.json = json;
  testing::internal::CaptureStdout();
  Outcome outcome;
  outcome.code = invocation.action();
  (void)std::fflush(stdout);
  outcome.out = testing::internal::GetCapturedStdout();
  return outcome;
}

class SiteCommands : public testing::Test {
 protected:
  TemporaryDirectory folder_ = *TemporaryDirectory::create("bedplate-commands");
  std::string site_ = (folder_.path() / "site.yaml").string();
};

TEST_F(SiteCommands, InitWritesASkeletonThatIsValid) {
  const auto first = run("site init " + site_);
  ASSERT_TRUE(first.code) << first.code.error().render();
  EXPECT_EQ(*first.code, 0);
  EXPECT_THAT(first.out, HasSubstr("wrote " + site_));
  EXPECT_THAT(first.out, HasSubstr("bundle key: SHA256:"));
  const auto secrets = folder_.path() / "site.secrets";
  EXPECT_EQ(std::filesystem::status(secrets).permissions(), std::filesystem::perms(0600));
  EXPECT_TRUE(read_site(site_));

  const auto content = read_file(site_).value() + read_file(secrets).value();
  const auto again = run("site init " + site_);
  EXPECT_EQ(*again.code, 0);
  EXPECT_EQ(read_file(site_).value() + read_file(secrets).value(), content);
  EXPECT_EQ(again.out.substr(again.out.find("secrets:")),
            first.out.substr(first.out.find("secrets:")));
}

TEST_F(SiteCommands, TheSkeletonsSecondNodeIsValidToo) {
  ASSERT_TRUE(run("site init " + site_).code);
  std::string text;
  const auto written = read_file(site_).value();
  for (const char c : written) {
    if (c == '#' && (text.empty() || text.back() == '\n')) continue;
    text += c;
  }
  text.erase(0, text.find("kind:"));
  const auto site = parse_site(text, "site.yaml");
  ASSERT_TRUE(site) << site.error().render();
  EXPECT_EQ(site->nodes.size(), 2U);
}

TEST_F(SiteCommands, InitNeverWritesOverAFileThatIsWrong) {
  ASSERT_TRUE(write_file_atomic(site_, "kind: Sight\n"));
  const auto outcome = run("site init " + site_);
  ASSERT_FALSE(outcome.code);
  EXPECT_EQ(outcome.code.error().kind, ErrorKind::invalid);
  EXPECT_EQ(read_file(site_).value(), "kind: Sight\n");
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "site.secrets"));
}

TEST_F(SiteCommands, InitInJson) {
  const auto outcome = run("site init " + site_ + " --secrets " + site_ + ".keys", true);
  ASSERT_TRUE(outcome.code) << outcome.code.error().render();
  const auto object = parse_json(outcome.out, "output").value();
  EXPECT_EQ(object["secrets"], site_ + ".keys");
  EXPECT_EQ(object["written"], true);
  EXPECT_EQ(object.dump().find("PRIVATE"), std::string::npos);
}

TEST_F(SiteCommands, ValidateSummarises) {
  const auto outcome =
      run("site validate " + std::string(BEDPLATE_SOURCE_DIR) + "/examples/two-nodes.yaml");
  ASSERT_TRUE(outcome.code) << outcome.code.error().render();
  EXPECT_THAT(outcome.out,
              HasSubstr("site two-nodes (two-nodes.example): 1 control-plane node, 1 worker; "
                        "Kubernetes v1.36.3, network plugin basic, bootstrap node node-1\n"));
}

TEST_F(SiteCommands, ValidateListsMistakes) {
  ASSERT_TRUE(run("site init " + site_).code);
  auto text = read_file(site_).value();
  text.replace(text.find("role: control-plane"), 19, "rol: control-plane ");
  ASSERT_TRUE(write_file_atomic(site_, text));
  const auto plain = run("site validate " + site_);
  ASSERT_FALSE(plain.code);
  EXPECT_EQ(exit_code(plain.code.error().kind), 3);
  EXPECT_THAT(plain.code.error().render(),
              HasSubstr("rol: is not a field here; did you mean 'role'?"));

  const auto json = run("site validate " + site_, true);
  EXPECT_EQ(json.code.value(), 3);
  const auto object = parse_json(json.out, "output").value();
  EXPECT_EQ(object["valid"], false);
  EXPECT_EQ(object["findings"][0]["field"], "nodes[0].role");
  EXPECT_GT(object["findings"][0]["line"], 0);
}

}  // namespace
}  // namespace bedplate

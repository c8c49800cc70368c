// What is seen of an agent that cannot begin.

#include "node-agent/agent.hpp"

#include <gtest/gtest.h>

#include "core/file.hpp"
#include "core/json.hpp"

namespace bedplate::agent {
namespace {

class Start : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto* path : {"var/lib/bedplate", "dev"}) {
      ASSERT_TRUE(make_directories(folder_.path() / path));
    }
    ASSERT_TRUE(write_file_atomic(console_, ""));
  }
  void put(const std::string& name, const std::string& content) {
    ASSERT_TRUE(write_file_atomic(folder_.path() / "var/lib/bedplate" / name, content));
  }
  Json status() { return read_json(folder_.path() / "run/bedplate/status.json").value(); }

  TemporaryDirectory folder_ = *TemporaryDirectory::create("bedplate-agent");
  std::filesystem::path console_ = folder_.path() / "dev/console";
};

TEST_F(Start, WithoutASiteFileTheStatusSaysSo) {
  const auto ended = run_agent(folder_.path());
  ASSERT_FALSE(ended);
  EXPECT_EQ(status()["phase"], "failed");
  const auto step = status()["steps"].back();
  EXPECT_EQ(step["state"], "failed");
  EXPECT_EQ(step["error"]["error"], ended.error().what);
  EXPECT_EQ(step["error"]["while"][0], "reading what this node is");
  EXPECT_NE(read_file(console_).value().find("bedplate: agent/start: failed"), std::string::npos);
}

TEST_F(Start, AnErrorThatStaysIsSaidOnceAndAnotherOneAgain) {
  ASSERT_FALSE(run_agent(folder_.path()));
  ASSERT_TRUE(write_file_atomic(console_, ""));
  ASSERT_FALSE(run_agent(folder_.path()));
  EXPECT_EQ(read_file(console_).value(), "") << "it is started anew every few seconds";
  put("site.yaml", "kind: nonsense\n");
  ASSERT_FALSE(run_agent(folder_.path()));
  EXPECT_NE(read_file(console_).value(), "");
}

TEST_F(Start, ANodeThatTheSiteDoesNotHaveIsNamed) {
  put("site.yaml",
      read_file(std::string(BEDPLATE_SOURCE_DIR) + "/examples/two-nodes.yaml").value());
  put("node.json", R"({"name": "node-9"})");
  ASSERT_FALSE(run_agent(folder_.path()));
  const auto error = status()["steps"].back()["error"];
  EXPECT_NE(error["error"].get<std::string>().find("node-9"), std::string::npos);
}

}  // namespace
}  // namespace bedplate::agent

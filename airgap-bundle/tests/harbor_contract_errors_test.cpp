// What Harbor, a proxy before it or the network may do wrong, and interruptions at every change.
// Against the server that is made from the contract; Harbor itself is not here.

#include <csignal>

#include <gmock/gmock.h>
#include <sys/wait.h>

#include "airgap-bundle/tests/harbor_contract.hpp"

namespace bedplate::harbor_test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct Refusal {
  int status;
  ErrorKind kind;
};

class HarborContractErrors : public HarborContractTest,
                             public ::testing::WithParamInterface<std::string> {
 protected:
  /// A state in which the second document makes every kind of change.
  void prepare() {
    applied(spec(all_changes()[0]));
    std::filesystem::remove(folder() / "pull.json");
    const auto all_rules = state()["rules"];
    for (const auto& rule : all_rules) {
      change({{"table", "rules"}, {"id", rule["id"]}, {"set", {{"disabled", true}}}});
    }
    clear();
  }
};

TEST_P(HarborContractErrors, EachIsToldOnceWithAHintAndTheNextRunFinishes) {
  const auto& call = GetParam();
  const bool creates = call.starts_with("create");
  if (!creates) prepare();
  const auto document = spec(all_changes()[creates || call == "updateConfigurations" ? 0 : 1]);
  if (call == "updateConfigurations") client_secret_ = "Client-Secret-2";
  const Json error = {{"errors", {{{"code", "CODE"}, {"message", "said Harbor"}}}}};
  for (const auto& [status, kind] :
       {Refusal{401, ErrorKind::untrusted}, Refusal{403, ErrorKind::untrusted},
        Refusal{409, ErrorKind::conflict}, Refusal{412, ErrorKind::conflict},
        Refusal{413, ErrorKind::unsupported}, Refusal{429, ErrorKind::network},
        Refusal{500, ErrorKind::network}, Refusal{503, ErrorKind::network}}) {
    fault({{"call", call}, {"times", -1}, {"status", status}, {"body", error}});
    const auto refused = apply(document);
    ASSERT_FALSE(refused) << status;
    EXPECT_EQ(refused.error().kind, kind) << status << refused.error().render();
    EXPECT_THAT(refused.error().what, HasSubstr(std::to_string(status)));
    EXPECT_THAT(refused.error().what, HasSubstr("said Harbor"));
    EXPECT_FALSE(refused.error().during_lines.empty());
    EXPECT_FALSE(refused.error().hint.empty());
    clear();
  }
  for (const auto* text : {"<html>502</html>", "{", "[]", R"({"errors": 7})"}) {
    fault({{"call", call}, {"times", -1}, {"status", 502}, {"text", text}});
    const auto refused = apply(document);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().kind, ErrorKind::network);
    EXPECT_THAT(refused.error().what, Not(HasSubstr("<html>")));
    clear();
  }
  fault({{"call", call}, {"times", -1}, {"drop", true}});
  const auto lost = apply(document);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, ErrorKind::network);
  clear();
  applied(document);
  EXPECT_THAT(applied(document).actions, IsEmpty());
  expect_secrets_work();
}

INSTANTIATE_TEST_SUITE_P(Calls, HarborContractErrors,
                         ::testing::Values("getConfigurations", "updateConfigurations",
                                           "getProject", "createProject", "updateProject",
                                           "listQuotas", "updateQuota", "listRobots", "createRobot",
                                           "updateRobot", "refreshRobot", "deleteRobot",
                                           "getRetention", "createRetention", "updateRetention",
                                           "listImmutableRules", "createImmutableRule",
                                           "updateImmutableRule", "deleteImmutableRule",
                                           "listLabels", "createLabel", "updateLabel"),
                         [](const auto& info) { return info.param; });

class HarborContractAnswers : public HarborContractTest {};

TEST_F(HarborContractAnswers, AnAnswerThatIsNotWhatItShouldBeIsRefusedAndTheNextRunFinishes) {
  const auto document = spec(whole_document);
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"getConfigurations", "[]"}, {"getConfigurations", "{"},
      {"listRobots", "{}"},        {"listRobots", "[1]"},
      {"listRobots", "[{}]"},      {"createRobot", "{\"secret\": \"geheim\"}"},
      {"refreshRobot", "{}"},      {"createRobot", "geheim"},
      {"getProject", "{}"},        {"getProject", "geheim"},
      {"listQuotas", "[{}]"}};
  for (const auto& [call, text] : wrong) {
    fault({{"call", call},
           {"after", true},
           {"status", call == "createRobot" ? 201 : 200},
           {"text", text}});
    const auto refused = apply(document);
    ASSERT_FALSE(refused) << call << " " << text;
    EXPECT_EQ(refused.error().kind, ErrorKind::invalid) << refused.error().render();
    EXPECT_THAT(refused.error().render(), Not(HasSubstr("geheim")));
    EXPECT_FALSE(refused.error().hint.empty());
    clear();
  }
  applied(document);
  expect_secrets_work();
}

/// What an uninterrupted run ends with; and how many changes it makes.
class HarborContractInterrupted : public HarborContractTest {
 protected:
  void SetUp() override {
    HarborContractTest::SetUp();
    run_all();
    right_ = essence();
    changes_ = changes();
    ASSERT_GT(changes_, 15);
  }
  void begin_anew() {
    ask("/__test/reset", Json::object());
    std::filesystem::remove_all(folder());
  }
  void run_all() {
    for (const auto& text : all_changes()) applied(spec(text));
  }
  Json right_;
  int changes_ = 0;
};

TEST_F(HarborContractInterrupted, AtAnyChangeEndsTheSame) {
  for (int skip = 0; skip < changes_; ++skip) {
    for (const bool after : {false, true}) {
      begin_anew();
      fault({{"call", "change"}, {"skip", skip}, {"after", after}, {"drop", true}, {"times", -1}});
      bool interrupted = false;
      for (const auto& text : all_changes()) {
        if (!apply(spec(text))) {
          interrupted = true;
          clear();
          applied(spec(text));
        }
      }
      EXPECT_TRUE(interrupted) << skip;
      EXPECT_EQ(essence(), right_) << "interrupted at change " << skip << (after ? " after" : "");
      expect_secrets_work();
    }
  }
}

TEST_F(HarborContractInterrupted, KilledAtAnyChangeEndsTheSame) {
  for (int skip = 0; skip < changes_; skip += 2) {
    for (const bool after : {false, true}) {
      begin_anew();
      int made = 0;
      bool killed = false;
      for (const auto& text : all_changes()) {
        const auto document = spec(text);
        if (!killed) {
          const int status = apply_and_be_killed(document, skip - made, after);
          killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
          made += changes();
          clear();
        }
        applied(document);
      }
      EXPECT_TRUE(killed) << skip;
      EXPECT_EQ(essence(), right_) << "killed at change " << skip << (after ? " after" : "");
      expect_secrets_work();
    }
  }
}

}  // namespace
}  // namespace bedplate::harbor_test

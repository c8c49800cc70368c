#include "airgap-bundle/harbor/rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bedplate::harbor {
namespace {

using ::testing::IsEmpty;

TEST(HarborRules, TheSameRuleIsTheSameWhoeverWroteIt) {
  const auto ours = to_json(RetentionRule{"latestPushedK", 10, true, {}});
  auto theirs = ours;
  theirs["id"] = 3;
  theirs["priority"] = 1;
  theirs["disabled"] = true;
  theirs["tag_selectors"][0].erase("extras");  // Harbor's default where tags are matched
  theirs["scope_selectors"]["repository"][0]["extras"] = "";
  EXPECT_EQ(identity_of(ours), identity_of(theirs));
  for (const auto& other :
       {RetentionRule{"latestPushedK", 11, true, {}}, RetentionRule{"latestPulledN", 10, true, {}},
        RetentionRule{"latestPushedK", 10, false, {}},
        RetentionRule{"latestPushedK", 10, true, {"a", false, "**", false}},
        RetentionRule{"latestPushedK", 10, true, {"**", true, "**", false}},
        RetentionRule{"latestPushedK", 10, true, {"**", false, "**", true}}}) {
    EXPECT_NE(identity_of(ours), identity_of(to_json(other)));
  }
  EXPECT_NE(identity_of(ours), identity_of(immutable_to_json({})));
}

TEST(HarborRules, ALabelKeepsWhatIsWrittenInIt) {
  const std::set<std::string> some = {"0123456789abcdef", "fedcba9876543210"};
  EXPECT_EQ(identities_in(label_text("site", some)), some);
  EXPECT_THAT(identities_in(label_text("site", {})), IsEmpty());
  EXPECT_THAT(identities_in("what somebody wrote"), IsEmpty());
}

}  // namespace
}  // namespace bedplate::harbor

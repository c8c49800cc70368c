// Against a server that is made from the contract of Harbor's API. Harbor itself is not here:
// docs/harbor.md says how to repeat this with a real one.

#include "airgap-bundle/tests/harbor_contract.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "airgap-bundle/harbor/rules.hpp"

namespace bedplate::harbor_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> kinds(const harbor::Plan& plan) {
  std::vector<std::string> out;
  for (const auto& action : plan.actions) out.emplace_back(harbor::to_string(action.kind));
  return out;
}

const Json& first(const Json& table) {
  return *table.begin();
}

class HarborContract : public HarborContractTest {};

TEST_F(HarborContract, ANewHarborBecomesWhatTheDocumentSays) {
  const auto document = spec(whole_document);
  EXPECT_FALSE(applied(document).actions.empty());
  const auto now = state();
  EXPECT_EQ(now["projects"].size(), 2U);
  EXPECT_EQ(now["robots"].size(), 2U);
  EXPECT_EQ(now["rules"].size(), 2U);
  ASSERT_EQ(now["policies"].size(), 1U);
  EXPECT_EQ(first(now["policies"])["rules"].size(), 2U);
  EXPECT_EQ(now["config"]["auth_mode"], "oidc_auth");
  EXPECT_EQ(now["config"]["oidc_auto_onboard"], true);
  EXPECT_EQ(now["client_secret"], client_secret_);
  expect_secrets_work();
}

TEST_F(HarborContract, KubectlCanTakeTheFolder) {
  applied(spec(whole_document));
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    if (entry.path().extension() != ".json") continue;  // the others kubectl passes over
    const auto value = read_json(entry.path());
    ASSERT_TRUE(value) << entry.path();
    EXPECT_EQ((*value)["kind"], "List") << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 2);
}

TEST_F(HarborContract, OnceMoreChangesNothing) {
  const auto document = spec(whole_document);
  applied(document);
  const auto before = state();
  EXPECT_THAT(applied(document).actions, IsEmpty());
  auto after = state();
  after["seen"] = before["seen"];
  EXPECT_EQ(after, before);
}

TEST_F(HarborContract, ADryRunChangesNothingAndItsHashApprovesThePlan) {
  const auto document = spec(whole_document);
  const auto before = essence();
  const auto http = make_http_client();
  harbor::Api api(*http, target(), clock_);
  harbor::SecretFolder secrets(folder());
  const auto plan = harbor::drift({document, api, secrets, client_secret_, clock_}, {});
  ASSERT_TRUE(plan) << plan.error().render();
  EXPECT_EQ(essence(), before);
  EXPECT_FALSE(std::filesystem::exists(folder()));
  harbor::ApplyOptions other;
  other.approved = std::string(64, '0');
  const auto refused = apply(document, other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_EQ(essence(), before);
  harbor::ApplyOptions approved;
  approved.approved = plan->hash();
  EXPECT_EQ(applied(document, approved).hash(), plan->hash());
}

TEST_F(HarborContract, WhatSomebodyChangedByHandIsDriftAndIsPutRight) {
  const auto document = spec(whole_document);
  applied(document);
  const auto right = essence();
  const auto now = state();
  by_hand("PUT", "/projects/k8s", {{"metadata", {{"public", "false"}, {"auto_scan", "false"}}}});
  by_hand("PUT", "/configurations", {{"oidc_endpoint", "https://elsewhere.example"}});
  const auto& quota = first(now["quotas"]);
  by_hand("PUT", fmt::format("/quotas/{}", quota["id"].get<int>()), {{"hard", {{"storage", 1}}}});
  for (const auto& robot : now["robots"]) {
    change({{"table", "robots"}, {"id", robot["id"]}, {"set", {{"disable", true}}}});
  }
  for (const auto& rule : now["rules"]) {
    change({{"table", "rules"}, {"id", rule["id"]}, {"set", {{"disabled", true}}}});
  }
  EXPECT_FALSE(applied(document).actions.empty());
  EXPECT_EQ(essence(), right);
  expect_secrets_work();
}

TEST_F(HarborContract, NothingThatOthersMadeIsDeletedOrTakenOver) {
  by_hand("POST", "/projects", {{"project_name", "k8s"}});
  by_hand("POST", "/projects", {{"project_name", "theirs"}});
  const auto number = first(state()["projects"])["project_id"].get<int>();
  Json robot = {{"name", "theirs"},
                {"description", "made by hand"},
                {"level", "system"},
                {"duration", -1},
                {"permissions",
                 {{{"kind", "project"},
                   {"namespace", "*"},
                   {"access", {{{"resource", "repository"}, {"action", "pull"}}}}}}}};
  by_hand("POST", "/robots", robot);
  robot["level"] = "project";
  robot["permissions"][0]["namespace"] = "k8s";
  by_hand("POST", "/robots", robot);
  by_hand("POST", "/projects/k8s/immutabletagrules",
          harbor::immutable_to_json({"theirs/**", false, "**", false}));
  by_hand("POST", "/retentions",
          {{"algorithm", "or"},
           {"rules", Json::array({harbor::to_json(harbor::RetentionRule{"always", 0, true, {}})})},
           {"trigger", {{"kind", "Schedule"}, {"settings", {{"cron", "0 0 0 * * *"}}}}},
           {"scope", {{"level", "project"}, {"ref", number}}}});
  applied(spec(whole_document));
  EXPECT_EQ(first(state()["policies"])["rules"].size(), 3U);
  applied(spec("projects: [{name: k8s}]\n"));
  const auto now = state();
  EXPECT_EQ(now["projects"].size(), 3U);
  EXPECT_EQ(now["robots"].size(), 2U);
  EXPECT_EQ(now["rules"].size(), 1U);
  EXPECT_EQ(first(now["policies"])["rules"].size(), 1U);
  EXPECT_EQ(first(now["policies"])["rules"][0]["template"], "always");
}

TEST_F(HarborContract, WhatTheDocumentNoLongerNamesGoesIfItWasOurs) {
  applied(spec(whole_document));
  const auto plan = applied(spec(R"(
projects:
  - name: k8s
    retention: {rules: [{keep: latestPushedK, count: 5}]}
)"));
  EXPECT_THAT(kinds(plan), testing::IsSupersetOf({"delete-robot", "delete-immutable"}));
  const auto now = state();
  EXPECT_EQ(now["projects"].size(), 2U) << "projects are never deleted";
  EXPECT_THAT(now["robots"], IsEmpty());
  EXPECT_THAT(now["rules"], IsEmpty());
  EXPECT_EQ(first(now["policies"])["rules"].size(), 1U);
  expect_secrets_work();
}

TEST_F(HarborContract, AnotherDocumentsRobotIsAConflict) {
  applied(spec(whole_document));
  auto other = spec(whole_document);
  other.name = "other";
  const auto before = essence();
  const auto refused = apply(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_THAT(refused.error().what, HasSubstr("robot$k8s+push"));
  EXPECT_EQ(essence(), before);
}

TEST_F(HarborContract, BeforeThePushTagsStayMutable) {
  const auto document = spec(whole_document);
  harbor::ApplyOptions early;
  early.plan.before_push = true;
  applied(document, early);
  EXPECT_THAT(state()["rules"], IsEmpty());
  EXPECT_THAT(applied(document, early).actions, IsEmpty());
  EXPECT_THAT(kinds(applied(document)),
              ElementsAre("mark-rules", "create-immutable", "create-immutable"));
}

TEST_F(HarborContract, MoreRobotsThanAPageHolds) {
  std::string robots = "robots:\n";
  for (int i = 0; i < 105; ++i) {
    robots += fmt::format(
        "  - {{name: r{}, permissions: [{{project: '*', access: ['repository:pull']}}], "
        "secret: {{name: s}}}}\n",
        i);
  }
  applied(spec(robots));
  EXPECT_EQ(state()["robots"].size(), 105U);
  EXPECT_THAT(applied(spec(robots)).actions, IsEmpty());
}

TEST_F(HarborContract, ARobotThatEndedIsMadeAnew) {
  const auto document = spec(whole_document);
  applied(document);
  const auto all_robots = state()["robots"];
  for (const auto& robot : all_robots) {
    if (robot["duration"] == -1) continue;
    change({{"table", "robots"}, {"id", robot["id"]}, {"set", {{"expires_at", 1}}}});
  }
  EXPECT_THAT(kinds(applied(document)), ElementsAre("renew-robot"));
  expect_secrets_work();
}

TEST_F(HarborContract, ALostFileIsRefreshedAndAChangedOneIsPutRight) {
  const auto document = spec(whole_document);
  applied(document);
  const auto path = folder() / "pull.json";
  const auto text = *read_file(path);
  std::filesystem::remove(path);
  EXPECT_THAT(kinds(applied(document)), ElementsAre("refresh-robot"));
  EXPECT_NE(*read_file(path), text) << "a new secret";
  expect_secrets_work();
  std::filesystem::permissions(path, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  EXPECT_THAT(kinds(applied(document)), ElementsAre("write-secret"));
  expect_secrets_work();
}

TEST_F(HarborContract, ANewClientSecretIsGivenOnce) {
  const auto document = spec(whole_document);
  applied(document);
  client_secret_ = "Client-Secret-2";
  EXPECT_THAT(kinds(applied(document)), ElementsAre("set-configuration"));
  EXPECT_EQ(state()["client_secret"], client_secret_);
  EXPECT_THAT(applied(document).actions, IsEmpty());
}

TEST_F(HarborContract, AnAuthModeThatUsersKeepIsRefusedBeforeAnythingIsChanged) {
  change({{"table", "users"}, {"id", nullptr}, {"set", 3}});
  const auto before = essence();
  const auto refused = apply(spec(whole_document));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_THAT(refused.error().what, HasSubstr("once there are users"));
  EXPECT_EQ(essence(), before);
}

TEST_F(HarborContract, AnAuthModeThatHarborRefusesMeanwhileHasTheSameWayOut) {
  fault({{"call", "updateConfigurations"},
         {"status", 400},
         {"body", {{"errors", {{{"code", "BAD_REQUEST"}, {"message", "the auth mode cannot"}}}}}}});
  const auto refused = apply(spec(whole_document));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_THAT(refused.error().hint, HasSubstr("delete the others"));
}

TEST_F(HarborContract, AHarborThatIgnoresWhatItWasToldIsSeenAfterwards) {
  fault({{"call", "createProject"}, {"status", 201}, {"text", ""}});
  const auto ignored = apply(spec("projects: [{name: k8s}]\n"));
  ASSERT_FALSE(ignored);
  EXPECT_EQ(ignored.error().kind, ErrorKind::conflict);
  EXPECT_THAT(ignored.error().what, HasSubstr("still not as the document says"));
}

TEST_F(HarborContract, AWrongPasswordIsSaidWithoutShowingIt) {
  const auto http = make_http_client();
  auto wrong = target();
  wrong.password = "not-the-password";
  harbor::Api api(*http, wrong, clock_);
  harbor::SecretFolder secrets(folder());
  const auto document = spec(whole_document);
  const auto refused = harbor::apply({document, api, secrets, client_secret_, clock_}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::untrusted);
  EXPECT_THAT(refused.error().render(), Not(HasSubstr("not-the-password")));
}

}  // namespace
}  // namespace bedplate::harbor_test

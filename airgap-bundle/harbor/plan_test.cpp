// Triples: what there is, what is wanted, what will be done.

#include "airgap-bundle/harbor/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "airgap-bundle/harbor/rules.hpp"

namespace bedplate::harbor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

ObservedRule observed(const Json& body, std::int64_t id = 0, bool disabled = false) {
  return {id, identity_of(body), disabled, body};
}

class HarborPlan : public ::testing::Test {
 protected:
  HarborPlan() {
    spec_.file = "harbor.yaml";
    spec_.name = "site";
    spec_.url = "https://harbor.example";
    spec_.registry = "harbor.example";
    now_.config["robot_name_prefix"] = {"robot$", true};
    now_.config["auth_mode"] = {"db_auth", true};
    now_.now = WallTime(std::chrono::seconds(1'000'000));
  }
  ProjectSpec& want_project() {
    ProjectSpec project;
    project.name = "k8s";
    project.metadata = {{"public", "true"}};
    spec_.projects = {project};
    return spec_.projects[0];
  }
  ObservedProject& have_project() {
    ObservedProject project;
    project.id = 7;
    project.metadata = {{"public", "true"}};
    project.quota = ObservedQuota{70, -1};
    return now_.projects["k8s"] = project;
  }
  RobotSpec& want_robot() {
    RobotSpec robot;
    robot.name = "pull";
    robot.permissions = {{"project", "*", {"repository:pull"}}};
    robot.secret_name = "harbor-pull";
    robot.namespaces = {"default"};
    spec_.robots = {robot};
    return spec_.robots[0];
  }
  ObservedRobot& have_robot(std::string description = "[bedplate:site]") {
    ObservedRobot robot;
    robot.id = 3;
    robot.name = "robot$pull";
    robot.key = "pull";
    robot.description = std::move(description);
    robot.permissions = {{"project", "*", {"repository:pull"}}};
    now_.robots = {robot};
    return now_.robots[0];
  }
  void hold_secret(std::int64_t id = 3) {
    auto& held = now_.secrets["pull"];
    held = *parse_manifest(manifest_text(spec_, spec_.robots[0], "robot$pull", id, "Secret1x"));
    held.only_owner = true;
  }
  std::vector<std::string> kinds(const PlanOptions& options = {}) const {
    const auto plan = make_plan(spec_, now_, options);
    if (!plan) return {plan.error().render()};
    std::vector<std::string> out;
    for (const auto& action : plan->actions) out.emplace_back(to_string(action.kind));
    return out;
  }
  Action only() const {
    const auto plan = make_plan(spec_, now_);
    EXPECT_TRUE(plan && plan->actions.size() == 1) << (plan ? to_text(*plan) : plan.error().what);
    return plan && !plan->actions.empty() ? plan->actions[0] : Action();
  }
  Error conflict() const {
    const auto plan = make_plan(spec_, now_);
    EXPECT_FALSE(plan) << to_text(*plan);
    if (plan) return {ErrorKind::internal, "no conflict"};
    EXPECT_EQ(plan.error().kind, ErrorKind::conflict);
    return plan.error();
  }
  HarborSpec spec_;
  Observed now_;
};

TEST_F(HarborPlan, AProjectIsMadeWithAllThatIsSaidOfIt) {
  want_project().storage = 1 << 30;
  const auto action = only();
  EXPECT_EQ(action.kind, ActionKind::create_project);
  EXPECT_EQ(action.body, Json::parse(R"({"project_name": "k8s", "metadata": {"public": "true"},
                                         "storage_limit": 1073741824})"));
  EXPECT_EQ(action.describe, "create project k8s, public=true, storage: 1.0 GiB");
}

TEST_F(HarborPlan, OfAProjectOnlyWhatDiffersIsChanged) {
  want_project().metadata["auto_scan"] = "true";
  spec_.projects[0].storage = 1 << 30;
  have_project().metadata["prevent_vul"] = "true";  // not said: not ours to change
  const auto plan = make_plan(spec_, now_);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->actions.size(), 2U);
  EXPECT_EQ(plan->actions[0].body, Json::parse(R"({"metadata": {"auto_scan": "true"}})"));
  EXPECT_EQ(plan->actions[0].describe, "change project k8s: auto_scan=true (now false)");
  EXPECT_EQ(plan->actions[1].id, 70);
  EXPECT_EQ(plan->actions[1].describe, "set storage of project k8s: 1.0 GiB (now no limit)");
}

TEST_F(HarborPlan, WhatWasNeverSetIsOff) {
  want_project().metadata["auto_scan"] = "false";
  spec_.projects[0].metadata["severity"] = "none";
  have_project();
  EXPECT_THAT(kinds(), IsEmpty());
}

TEST_F(HarborPlan, AQuotaNeedsAHarborThatKeepsQuotas) {
  want_project().storage = 1 << 30;
  have_project().quota.reset();
  EXPECT_THAT(conflict().what, HasSubstr("has no quota"));
  now_.projects.clear();
  now_.config["quota_per_project_enable"] = {false, true};
  EXPECT_THAT(conflict().hint, HasSubstr("quota_per_project_enable"));
}

TEST_F(HarborPlan, ACacheOfAnotherRegistryIsNoProjectToPushTo) {
  want_project();
  have_project().proxy = true;
  EXPECT_THAT(conflict().what, HasSubstr("cache of another registry"));
}

TEST_F(HarborPlan, ARobotThatIsThereWithItsSecretIsLeftAlone) {
  want_robot();
  have_robot();
  hold_secret();
  EXPECT_THAT(kinds(), IsEmpty());
}

TEST_F(HarborPlan, ARobotIsMadeWithOurMark) {
  want_robot().description = "for pods";
  const auto action = only();
  EXPECT_EQ(action.kind, ActionKind::create_robot);
  EXPECT_EQ(action.body["description"], "[bedplate:site] for pods");
  EXPECT_EQ(action.body["name"], "pull");
  EXPECT_EQ(action.body["level"], "system");
  EXPECT_EQ(action.body["permissions"][0]["access"],
            Json::parse(R"([{"resource": "repository", "action": "pull"}])"));
}

TEST_F(HarborPlan, ALostSecretIsRefreshed) {
  want_robot();
  have_robot();
  EXPECT_THAT(kinds(), ElementsAre("refresh-robot"));
  hold_secret(2);  // of a robot that was deleted and made anew
  EXPECT_THAT(kinds(), ElementsAre("refresh-robot"));
}

TEST_F(HarborPlan, AnotherHarborsSecretIsNotWrittenOver) {
  want_robot();
  hold_secret();
  now_.secrets["pull"].url = "https://another.example";
  EXPECT_THAT(conflict().what, HasSubstr("of another Harbor, https://another.example"));
  EXPECT_THAT(conflict().hint, HasSubstr("--secrets"));
  have_robot();
  EXPECT_THAT(conflict().what, HasSubstr("another Harbor"));
}

TEST_F(HarborPlan, AScheduleThatIsNotSaidStays) {
  have_project().retention =
      ObservedPolicy{9, "0 0 1 * * *", {observed(to_json(RetentionRule{"always", 0, true, {}}))}};
  want_project().retention = RetentionSpec{std::nullopt, {{"always", 0, true, {}}}};
  EXPECT_THAT(kinds(), IsEmpty());
  spec_.projects[0].retention->rules.push_back({"latestPushedK", 10, true, {}});
  auto plan = make_plan(spec_, now_);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->actions[1].body["trigger"]["settings"]["cron"], "0 0 1 * * *");
  spec_.projects[0].retention->schedule = "";
  plan = make_plan(spec_, now_);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->actions[1].body["trigger"]["settings"]["cron"], "");
}

TEST_F(HarborPlan, ASecretWeHaveIsWrittenAnewNotRefreshed) {
  want_robot();
  have_robot();
  hold_secret();
  spec_.robots[0].namespaces = {"default", "apps"};
  EXPECT_THAT(kinds(), ElementsAre("write-secret"));
  spec_.robots[0].namespaces = {"default"};
  now_.secrets["pull"].only_owner = false;
  EXPECT_THAT(kinds(), ElementsAre("write-secret"));
}

TEST_F(HarborPlan, SomebodyElsesRobotIsNeverTouched) {
  want_robot();
  for (const auto* description : {"", "made by hand", "[bedplate:other]", "[bedplate:site2]"}) {
    have_robot(description);
    EXPECT_THAT(conflict().what, HasSubstr("was not made by 'site'")) << description;
    EXPECT_THAT(conflict().hint, HasSubstr("another name"));
  }
  have_robot().editable = false;
  EXPECT_THAT(conflict().what, HasSubstr("left alone"));
}

TEST_F(HarborPlan, OnlyOurSurplusRobotsAreDeleted) {
  want_project();
  auto& project = have_project();
  have_robot();
  project.robots = {now_.robots[0]};
  project.robots[0].id = 4;
  project.robots[0].key = "k8s+old";
  now_.robots.push_back(now_.robots[0]);
  now_.robots[1].description = "made by hand";
  const auto plan = make_plan(spec_, now_);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->actions.size(), 2U);
  EXPECT_EQ(plan->actions[0].id, 3);
  EXPECT_EQ(plan->actions[1].id, 4);
  EXPECT_EQ(plan->actions[1].robot_key, "k8s+old");
}

TEST_F(HarborPlan, ARobotsDifferencesAreNamed) {
  want_robot().duration = 30;
  auto& robot = have_robot();
  hold_secret();
  robot.disabled = true;
  robot.permissions = {{"project", "*", {"repository:pull", "repository:push"}}};
  const auto action = only();
  EXPECT_EQ(action.kind, ActionKind::update_robot);
  EXPECT_EQ(action.body["name"], "robot$pull");
  EXPECT_EQ(action.body["disable"], false);
  EXPECT_EQ(action.describe,
            "change robot robot$pull: may repository:pull of every project (now repository:pull "
            "repository:push of every project), duration 30 days (now -1), enabled (now disabled)");
}

TEST_F(HarborPlan, ARobotWhoseTimeIsOverIsMadeAnew) {
  want_robot().duration = 30;
  auto& robot = have_robot();
  hold_secret();
  robot.duration = 30;
  robot.expires_at = 1'000'001;
  EXPECT_THAT(kinds(), IsEmpty());
  robot.expires_at = 1'000'000;
  EXPECT_THAT(kinds(), ElementsAre("renew-robot"));
  spec_.robots[0].renew_before = 2;
  robot.expires_at = 1'000'000 + 2 * 86'400;
  EXPECT_THAT(kinds(), ElementsAre("renew-robot"));
  robot.expires_at += 1;
  EXPECT_THAT(kinds(), IsEmpty());
}

TEST_F(HarborPlan, RulesAreMarkedBeforeTheyAreMadeAndImmutabilityComesLast) {
  auto& project = want_project();
  project.retention = RetentionSpec{"", {{"latestPushedK", 10, true, {}}}};
  project.immutable = {{"**", false, "v*", false}};
  want_robot();
  EXPECT_THAT(kinds(), ElementsAre("create-project", "create-robot", "mark-rules", "set-retention",
                                   "create-immutable"));
  EXPECT_THAT(kinds({.before_push = true}),
              ElementsAre("create-project", "create-robot", "mark-rules", "set-retention"));
}

TEST_F(HarborPlan, ARuleIsSaidInWords) {
  want_project().immutable = {{"base/**", true, "latest", true}};
  have_project().label = ObservedLabel{4, label_text("site", {})};
  const auto plan = make_plan(spec_, now_);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->actions.size(), 2U);
  EXPECT_EQ(plan->actions[1].describe,
            "make immutable in project k8s: tags all but latest in repositories all but base/**");
}

TEST_F(HarborPlan, ForeignRulesStay) {
  const Json foreign = to_json(RetentionRule{"always", 0, true, {}});
  auto& project = have_project();
  project.retention = ObservedPolicy{9, "0 0 0 * * *", {observed(foreign)}};
  project.immutable = {observed(immutable_to_json({}), 5)};
  want_project();
  EXPECT_THAT(kinds(), IsEmpty());
  spec_.projects[0].retention = RetentionSpec{"0 0 0 * * *", {{"latestPushedK", 10, true, {}}}};
  const auto plan = make_plan(spec_, now_);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->actions.size(), 2U);
  const auto& action = plan->actions[1];
  EXPECT_EQ(action.id, 9);
  ASSERT_EQ(action.body["rules"].size(), 2U);
  EXPECT_EQ(action.body["rules"][0], foreign);
}

TEST_F(HarborPlan, OurRuleThatIsNoLongerSaidIsReplaced) {
  const Json old_rule = to_json(RetentionRule{"latestPushedK", 10, true, {}});
  const Json old_immutable = immutable_to_json({"**", false, "v*", false});
  auto& project = have_project();
  project.retention = ObservedPolicy{9, "", {observed(old_rule)}};
  project.immutable = {observed(old_immutable, 5), observed(immutable_to_json({}), 6)};
  project.label =
      ObservedLabel{4, label_text("site", {identity_of(old_rule), identity_of(old_immutable)})};
  want_project().retention = RetentionSpec{"", {{"latestPushedK", 5, true, {}}}};
  const auto plan = make_plan(spec_, now_);
  ASSERT_TRUE(plan);
  EXPECT_THAT(kinds(),
              ElementsAre("mark-rules", "set-retention", "delete-immutable", "mark-rules"));
  EXPECT_EQ(plan->actions[1].body["rules"].size(), 1U);
  EXPECT_EQ(plan->actions[1].body["rules"][0]["params"]["latestPushedK"], 5);
  EXPECT_EQ(plan->actions[2].id, 5) << "not the foreign one";
  EXPECT_THAT(identities_in(plan->actions[3].body["description"].get<std::string>()),
              ElementsAre(identity_of(plan->actions[1].body["rules"][0])));
}

TEST_F(HarborPlan, WithoutTheLabelNothingIsOurs) {
  const Json rule = immutable_to_json({"**", false, "v*", false});
  have_project().immutable = {observed(rule, 5)};
  want_project();
  EXPECT_THAT(kinds(), IsEmpty());
  now_.projects["k8s"].label = ObservedLabel{4, label_text("site", {identity_of(rule)})};
  EXPECT_THAT(kinds(), ElementsAre("delete-immutable", "mark-rules"));
}

TEST_F(HarborPlan, ARuleThatWasSwitchedOffIsSwitchedOn) {
  const RetentionRule wanted{"latestPushedK", 10, true, {}};
  auto body = to_json(wanted);
  body["disabled"] = true;
  auto immutable = immutable_to_json({});
  immutable["disabled"] = true;
  auto& project = have_project();
  project.retention = ObservedPolicy{9, "", {observed(body, 0, true)}};
  project.immutable = {observed(immutable, 5, true)};
  want_project().retention = RetentionSpec{"", {wanted}};
  spec_.projects[0].immutable = {RuleScope{}};
  const auto plan = make_plan(spec_, now_);
  ASSERT_TRUE(plan);
  EXPECT_THAT(kinds(), ElementsAre("set-retention", "enable-immutable"));
  EXPECT_EQ(plan->actions[0].body["rules"][0]["disabled"], false);
  EXPECT_EQ(plan->actions[1].body["id"], 5);
}

TEST_F(HarborPlan, MoreRulesThanHarborTakesAreAConflict) {
  std::vector<ObservedRule> foreign;
  for (int i = 1; i <= 15; ++i) {
    foreign.push_back(observed(to_json(RetentionRule{"latestPulledN", i, true, {}})));
  }
  have_project().retention = ObservedPolicy{9, "", foreign};
  want_project().retention = RetentionSpec{"", {{"always", 0, true, {}}}};
  EXPECT_THAT(conflict().what, HasSubstr("16 retention rules"));
}

TEST_F(HarborPlan, OfTheConfigurationOnlyWhatDiffersIsSet) {
  now_.config["oidc_name"] = {"keycloak", true};
  now_.config["oidc_verify_cert"] = {false, true};
  spec_.auth =
      AuthSpec{{{"auth_mode", "oidc_auth"}, {"oidc_name", "keycloak"}, {"oidc_verify_cert", true}},
               {"secret", ""}};
  const auto action = only();
  EXPECT_EQ(action.body, Json::parse(R"({"auth_mode": "oidc_auth", "oidc_verify_cert": true})"));
  EXPECT_TRUE(action.client_secret);
  EXPECT_EQ(action.describe,
            R"(set auth_mode="oidc_auth", oidc_verify_cert=true, oidc_client_secret)");
  now_.config["auth_mode"].value = "oidc_auth";
  now_.config["oidc_verify_cert"].value = true;
  EXPECT_THAT(kinds(), ElementsAre("set-configuration")) << "the secret alone";
  now_.client_secret_given = true;
  EXPECT_THAT(kinds(), IsEmpty());
}

TEST_F(HarborPlan, AnAuthModeThatCanNoLongerChangeIsAConflictWithAWayOut) {
  now_.config["auth_mode"].editable = false;
  spec_.auth = AuthSpec{{{"auth_mode", "oidc_auth"}}, {}};
  const auto error = conflict();
  EXPECT_THAT(error.what, HasSubstr("refuses it once there are users"));
  EXPECT_THAT(error.hint, HasSubstr("delete Harbor's users"));
  spec_.auth = AuthSpec{{{"auth_mode", "db_auth"}}, {}};
  EXPECT_THAT(kinds(), IsEmpty());
}

TEST_F(HarborPlan, AConfigurationFromTheEnvironmentIsAConflict) {
  now_.config["oidc_name"] = {"other", false};
  spec_.auth = AuthSpec{{{"oidc_name", "keycloak"}}, {}};
  EXPECT_THAT(conflict().hint, HasSubstr("CONFIG_OVERWRITE_JSON"));
}

TEST_F(HarborPlan, EveryConflictAtOnce) {
  want_project();
  have_project().proxy = true;
  want_robot();
  have_robot("made by hand");
  const auto error = conflict();
  EXPECT_THAT(error.what, HasSubstr("2 of what Harbor has stands against harbor.yaml"));
  EXPECT_THAT(error.what, HasSubstr("cache of another registry"));
  EXPECT_THAT(error.what, HasSubstr("robot$pull"));
}

TEST_F(HarborPlan, TheHashIsThatOfWhatIsDone) {
  want_project();
  const auto one = make_plan(spec_, now_)->hash();
  EXPECT_EQ(make_plan(spec_, now_)->hash(), one);
  spec_.projects[0].metadata["public"] = "false";
  EXPECT_NE(make_plan(spec_, now_)->hash(), one);
  EXPECT_THAT(to_text(*make_plan(spec_, now_)), HasSubstr(make_plan(spec_, now_)->hash()));
}

TEST_F(HarborPlan, ShowsNoSecret) {
  want_robot();
  have_robot();
  hold_secret();
  spec_.robots[0].namespaces = {"apps"};
  const auto plan = make_plan(spec_, now_);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->actions.size(), 1U);
  EXPECT_THAT(to_text(*plan) + to_json(*plan).dump(), Not(HasSubstr("Secret1x")));
}

}  // namespace
}  // namespace bedplate::harbor

// Whether what checks Harbor would see that it differs. Harbor itself is not here either.

#include <set>

#include <gmock/gmock.h>

#include "airgap-bundle/tests/harbor_contract.hpp"

namespace bedplate::harbor_test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class HarborContractCheck : public HarborContractTest {
 protected:
  harbor::CheckReport check() {
    const auto http = make_http_client();
    auto report = harbor::check(*http, target(), clock_);
    EXPECT_TRUE(report) << report.error().render();
    return report ? *report : harbor::CheckReport();
  }
  void expect_clean() {
    const auto now = state();
    for (const auto* table : {"projects", "robots", "labels", "policies", "rules", "quotas"}) {
      EXPECT_THAT(now[table], IsEmpty()) << table;
    }
  }
  static std::vector<std::string> differing(const harbor::CheckReport& report) {
    std::vector<std::string> out;
    for (const auto& row : report.rows) {
      if (!row.passed) out.push_back(row.call);
    }
    return out;
  }
};

TEST_F(HarborContractCheck, TheContractPassesAndNothingIsLeft) {
  const auto before = essence();
  const auto report = check();
  EXPECT_TRUE(report.passed()) << harbor::to_text(report);
  EXPECT_THAT(harbor::to_text(report), HasSubstr("0 of "));
  expect_clean();
  EXPECT_EQ(essence()["config"], before["config"]);
}

TEST_F(HarborContractCheck, PushChecksAsWellAsHarborDoes) {
  const auto password = folder().parent_path() / "password";
  ASSERT_TRUE(write_file_atomic(password, target().password + "\n", 0600));
  SystemProcessRunner runner;
  for (std::vector<std::string> words : {std::vector<std::string>{"bundle", "push", "--check"},
                                         std::vector<std::string>{"harbor", "check"}}) {
    words.insert(words.begin(), BEDPLATE_PROGRAM);
    words.insert(words.end(), {target().url, "--plain-http", "--password-file", password});
    Command command;
    command.argv = words;
    const auto passed = runner.run(command);
    ASSERT_TRUE(passed);
    EXPECT_EQ(passed->status, 0) << passed->err;
    EXPECT_THAT(passed->out, HasSubstr("0 of "));
    expect_clean();
    // The administrator's password is asked for, and nothing that only a push needs.
    command.argv.resize(command.argv.size() - 2);
    const auto refused = runner.run(command);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status, exit_code(ErrorKind::usage));
    EXPECT_THAT(refused->err, HasSubstr("--password-file"));
  }
}

TEST_F(HarborContractCheck, EveryCallOfTheContractIsMade) {
  std::set<std::string> made;
  const auto report = check();
  for (const auto& row : report.rows) made.insert(row.call.substr(0, row.call.find(',')));
  const auto contract =
      read_json(BEDPLATE_SOURCE_DIR "/airgap-bundle/harbor/testdata/contract.json");
  ASSERT_TRUE(contract);
  for (const auto& [name, call] : (*contract)["calls"].items()) {
    EXPECT_TRUE(made.contains(name)) << name;
  }
}

TEST_F(HarborContractCheck, NoValueOfAnAnswerIsShown) {
  fault({{"call", "createRobot"},
         {"skip", 1},
         {"after", true},
         {"body", {{"id", 1}, {"secret", "geheim"}}},
         {"status", 200}});
  const auto report = check();
  EXPECT_THAT(harbor::to_text(report) + harbor::to_json(report).dump(), Not(HasSubstr("geheim")));
}

struct Variant {
  const char* name;
  std::string fault;
  const char* call;  ///< which is to be named
  const char* got;
};

class HarborContractCheckVariant : public HarborContractCheck,
                                   public ::testing::WithParamInterface<Variant> {};

TEST_P(HarborContractCheckVariant, IsNamedAndEverythingIsRemovedAllTheSame) {
  fault(Json::parse(GetParam().fault));
  const auto report = check();
  EXPECT_FALSE(report.passed());
  EXPECT_THAT(differing(report), testing::Contains(GetParam().call));
  for (const auto& row : report.rows) {
    if (row.call == GetParam().call && !row.passed) {
      EXPECT_THAT(row.got, HasSubstr(GetParam().got));
    }
  }
  clear();
  expect_clean();
}

INSTANTIATE_TEST_SUITE_P(
    Faults, HarborContractCheckVariant,
    ::testing::Values(
        Variant{"OtherStatus", R"({"call": "updateQuota", "status": 202, "after": true})",
                "updateQuota", "202"},
        Variant{"NoSecret",
                R"({"call": "createRobot", "skip": 1, "after": true, "omit": "secret"})",
                "createRobot", "secret: nothing"},
        Variant{"NoRefreshedSecret", R"({"call": "refreshRobot", "after": true, "omit": "secret"})",
                "refreshRobot", "secret: nothing"},
        Variant{"IgnoredChange", R"({"call": "updateProject", "status": 200, "text": ""})",
                "getProject, changed", "auto_scan false"},
        Variant{"TextForANumber",
                R"({"call": "listQuotas", "body": [{"id": "7", "hard": {}}], "after": true})",
                "listQuotas", "0.id: string"},
        Variant{"NoForm", R"({"call": "getProject", "status": 404, "text": "<html>"})",
                "getProject, missing", "errors.0.code: nothing"},
        Variant{"TwiceIsTaken", R"({"call": "createLabel", "skip": 1, "status": 201})",
                "createLabel, twice", "201"},
        Variant{"Broken", R"({"call": "createRetention", "status": 500, "times": -1})",
                "createRetention", "500"},
        Variant{"NoRetentionId", R"({"call": "getProject", "skip": 3, "after": true,
                                     "omit": "metadata"})",
                "getProject, with retention", "metadata.retention_id: nothing"},
        Variant{"OtherRule", R"({"call": "listImmutableRules", "after": true, "omit": "disabled"})",
                "listImmutableRules", "0.disabled: nothing"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(HarborContractCheck, WhatOthersMadeIsNotTouchedWhenOursCouldNotBeMade) {
  by_hand("POST", "/projects", {{"project_name", "theirs"}});
  by_hand("POST", "/robots",
          {{"name", "theirs"},
           {"level", "system"},
           {"duration", -1},
           {"permissions",
            {{{"kind", "project"},
              {"namespace", "*"},
              {"access", {{{"resource", "repository"}, {"action", "pull"}}}}}}}});
  by_hand("POST", "/retentions",
          {{"algorithm", "or"},
           {"rules", Json::array()},
           {"trigger", {{"kind", "Schedule"}, {"settings", {{"cron", "0 0 1 * * *"}}}}},
           {"scope", {{"level", "project"}, {"ref", 1}}}});
  const auto before = state();
  ASSERT_EQ(before["robots"].size(), 1U);
  ASSERT_EQ(before["policies"].size(), 1U);
  for (const auto* call : {"createProject", "createRobot", "createRetention", "createLabel",
                           "createImmutableRule", "listQuotas"}) {
    for (const int status : {403, 502}) {
      fault({{"call", call}, {"status", status}, {"times", -1}});
      EXPECT_FALSE(check().passed()) << call;
      clear();
      const auto now = state();
      for (const auto* table : {"projects", "quotas", "robots", "labels", "policies", "rules"}) {
        EXPECT_EQ(now[table], before[table]) << call << " " << status << " " << table;
      }
    }
  }
}

TEST_F(HarborContractCheck, ALostConnectionEndsItAndEverythingIsRemoved) {
  // More than once: libcurl itself tries again when a connection that it kept ends in silence.
  fault({{"call", "createLabel"}, {"after", true}, {"drop", true}, {"times", -1}});
  const auto report = check();
  EXPECT_FALSE(report.passed());
  EXPECT_THAT(report.rows.back().got, HasSubstr("no answer"));
  expect_clean();
}

TEST_F(HarborContractCheck, WhatCannotBeRemovedIsNamed) {
  fault({{"call", "deleteProject"}, {"status", 412}, {"times", -1}});
  const auto report = check();
  EXPECT_FALSE(report.passed());
  ASSERT_EQ(report.left.size(), 1U);
  EXPECT_THAT(report.left[0], HasSubstr("project bedplate-check-"));
  EXPECT_THAT(harbor::to_text(report), HasSubstr("remove it by hand"));
}

/// check_contract.py against an API description of our own making.
class HarborContractDescription : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto python = bundle_test::program("python3");
    ASSERT_TRUE(python);
    python_ = *python;
  }
  std::string differences(const Json& contract) {
    EXPECT_TRUE(write_file_atomic(folder_.path() / "contract.json", contract.dump()));
    EXPECT_TRUE(write_file_atomic(folder_.path() / "swagger.json", swagger_.dump()));
    Command command;
    command.argv = {
        python_, "-B", BEDPLATE_SOURCE_DIR "/airgap-bundle/harbor/tools/check_contract.py",
        (folder_.path() / "swagger.json").string(), (folder_.path() / "contract.json").string()};
    const auto result = SystemProcessRunner().run(command);
    EXPECT_TRUE(result);
    if (!result) return {};
    const bool none = result->out.find(" 0 differences") != std::string::npos;
    EXPECT_EQ(result->status, none ? 0 : 1) << result->out << result->err;
    return none ? "none" : result->out;
  }
  std::string python_;
  TemporaryDirectory folder_ = *TemporaryDirectory::create("contract");
  Json swagger_ = Json::parse(R"({
    "basePath": "/api/v9",
    "parameters": {"page": {"name": "page", "in": "query", "type": "integer", "maximum": 100}},
    "responses": {"404": {"schema": {"$ref": "#/definitions/Errors"}}},
    "definitions": {
      "Errors": {"type": "object", "properties": {"errors": {"type": "array", "items":
        {"type": "object", "properties": {"code": {"type": "string"}}}}}},
      "Thing": {"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"},
        "level": {"type": "string", "description": "one of low and high"},
        "parts": {"type": "array", "items": {"type": "object", "properties":
          {"count": {"type": "integer"}}}}}}
    },
    "paths": {"/things/{id}": {"put": {
      "parameters": [
        {"$ref": "#/parameters/page"},
        {"name": "id", "in": "path", "type": "integer", "required": true},
        {"name": "thing", "in": "body", "required": true, "schema": {"$ref": "#/definitions/Thing"}}],
      "responses": {"200": {"headers": {"Location": {}}, "schema": {"$ref": "#/definitions/Thing"}},
                    "404": {"$ref": "#/responses/404"}}}}}
  })");
  const Json contract_ = Json::parse(R"({
    "basePath": "/api/v9",
    "errorBody": {"type": "object", "fields": {"errors": {"type": "array", "items":
      {"type": "object", "fields": {"code": {"type": "string"}}}}}},
    "types": {"Part": {"type": "object", "fields": {"count": {"type": "integer"}}}},
    "calls": {"putThing": {
      "method": "PUT", "path": "/things/{id}",
      "parameters": {"id": {"type": "integer"}},
      "query": {"page": {"type": "integer", "maximum": 100}},
      "body": {"type": "object", "fields": {
        "name": {"type": "string", "required": true},
        "level": {"type": "string", "enum": ["low", "high"]},
        "parts": {"type": "array", "items": {"ref": "Part"}}}},
      "success": {"200": {"headers": ["Location"],
                          "body": {"type": "object", "fields": {"name": {"type": "string", "required": true}}}}},
      "errors": [404], "undocumented": [500]}}
  })");
};

TEST_F(HarborContractDescription, AContractThatFitsHasNoDifferences) {
  EXPECT_EQ(differences(contract_), "none");
}

TEST_F(HarborContractDescription, EachAlterationOfTheContractIsSeen) {
  const std::vector<std::pair<std::string, std::string>> alterations = {
      {R"([{"op": "replace", "path": "/basePath", "value": "/api/v8"}])", "basePath"},
      {R"([{"op": "replace", "path": "/calls/putThing/method", "value": "POST"}])",
       "no such method"},
      {R"([{"op": "replace", "path": "/calls/putThing/path", "value": "/thing/{id}"}])",
       "no such path"},
      {R"([{"op": "replace", "path": "/calls/putThing/parameters/id/type", "value": "string"}])",
       "is string in the contract, integer"},
      {R"([{"op": "add", "path": "/calls/putThing/query/size", "value": {"type": "integer"}}])",
       "query parameter size"},
      {R"([{"op": "add", "path": "/calls/putThing/headers", "value": {"X": {"type": "string"}}}])",
       "header parameter X"},
      {R"([{"op": "replace", "path": "/calls/putThing/query/page/maximum", "value": 200}])",
       "100 at most"},
      {R"([{"op": "remove", "path": "/calls/putThing/body"}])", "needs a body"},
      {R"([{"op": "replace", "path": "/calls/putThing/body/fields/name/required", "value": false}])",
       "is required by the description"},
      {R"([{"op": "replace", "path": "/calls/putThing/body/fields/level/enum/0", "value": "lo"}])",
       "does not mention 'lo'"},
      {R"([{"op": "add", "path": "/types/Part/fields/size", "value": {"type": "integer"}}])",
       "parts[].size: is not in the description"},
      {R"([{"op": "replace", "path": "/types/Part/fields/count/type", "value": "boolean"}])",
       "parts[].count: is boolean"},
      {R"([{"op": "add", "path": "/calls/putThing/success/200/body/fields/id",
            "value": {"type": "integer"}}])",
       "200.id"},
      {R"([{"op": "add", "path": "/calls/putThing/success/200/headers/-", "value": "Link"}])",
       "no header Link"},
      {R"([{"op": "add", "path": "/calls/putThing/success/201", "value": {}}])", "no answer 201"},
      {R"([{"op": "add", "path": "/calls/putThing/errors/-", "value": 409}])", "no answer 409"},
      {R"([{"op": "add", "path": "/calls/putThing/undocumented/-", "value": 404}])",
       "404 is in the description now"},
      {R"([{"op": "replace", "path": "/errorBody/fields/errors/type", "value": "object"}])",
       "errors: is object"},
  };
  for (const auto& [patch, expected] : alterations) {
    EXPECT_THAT(differences(contract_.patch(Json::parse(patch))), HasSubstr(expected)) << patch;
  }
}

TEST_F(HarborContractDescription, AnAlterationOfTheDescriptionIsSeen) {
  swagger_["definitions"]["Thing"]["required"].push_back("level");
  EXPECT_THAT(differences(contract_), HasSubstr("body.level: is required"));
  swagger_["paths"]["/things/{id}"].erase("put");
  EXPECT_THAT(differences(contract_), HasSubstr("no such method"));
}

}  // namespace
}  // namespace bedplate::harbor_test

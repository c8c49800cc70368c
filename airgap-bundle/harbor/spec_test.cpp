#include "airgap-bundle/harbor/spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bedplate::harbor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view head = R"(kind: Harbor
name: site
url: https://harbor.example/
admin: {passwordFile: admin}
)";

std::string problem(const std::string& rest, std::string_view begin = head) {
  const auto parsed = parse_spec(std::string(begin) + rest, "harbor.yaml");
  if (parsed) return "no problem";
  EXPECT_EQ(parsed.error().kind, ErrorKind::invalid);
  return parsed.error().render();
}

TEST(HarborSpec, EverythingThatCanBeSaid) {
  const auto spec = parse_spec(std::string(head) + R"(ca: ca.pem
projects:
  - name: k8s
    public: true
    storage: 200GiB
    metadata: {auto_scan: true, prevent_vul: false, severity: high}
    retention:
      schedule: "0 0 2 * * *"
      rules:
        - {keep: latestPushedK, count: 10, tags: "v*"}
        - {keep: always, repositoriesExcept: "cache/**", untagged: false}
    immutable:
      - {tags: "v*"}
  - {name: apps, storage: unlimited}
robots:
  - name: pull
    permissions: [{project: "*", access: ["repository:pull", "artifact:read"]}]
    secret: {name: harbor-pull, namespaces: [default, apps]}
  - name: push
    project: k8s
    duration: 90
    renewBefore: 14
    permissions: [{access: ["repository:push"]}]
    secret: {name: harbor-push}
auth:
  auth_mode: oidc_auth
  oidc_name: keycloak
  oidc_endpoint: https://keycloak.example/realms/site
  oidc_client_id: harbor
  oidc_client_secret_file: oidc
  oidc_scope: openid,profile
  oidc_verify_cert: true
)",
                               "harbor.yaml");
  ASSERT_TRUE(spec) << spec.error().render();
  EXPECT_EQ(spec->url, "https://harbor.example");
  EXPECT_EQ(spec->registry, "harbor.example");
  EXPECT_EQ(spec->user, "admin");
  const auto& project = spec->projects[0];
  EXPECT_THAT(project.metadata,
              ElementsAre(std::pair{"auto_scan", "true"}, std::pair{"prevent_vul", "false"},
                          std::pair{"public", "true"}, std::pair{"severity", "high"}));
  EXPECT_EQ(project.storage, 200LL << 30);
  EXPECT_EQ(project.retention->rules[0].count, 10);
  EXPECT_EQ(project.retention->rules[0].scope.tags, "v*");
  EXPECT_TRUE(project.retention->rules[1].scope.except_repositories);
  EXPECT_FALSE(project.retention->rules[1].untagged);
  EXPECT_EQ(project.immutable[0].repositories, "**");
  EXPECT_EQ(spec->projects[1].storage, -1);
  EXPECT_TRUE(spec->projects[1].metadata.empty()) << "what is not said is not changed";
  EXPECT_EQ(spec->robots[0].key(), "pull");
  EXPECT_THAT(spec->robots[0].permissions[0].access,
              ElementsAre("artifact:read", "repository:pull"));
  EXPECT_EQ(spec->robots[1].key(), "k8s+push");
  EXPECT_EQ(spec->robots[1].permissions[0].scope, "k8s");
  EXPECT_THAT(spec->robots[1].namespaces, ElementsAre("default"));
  EXPECT_EQ(spec->auth->settings.at("oidc_verify_cert"), true);
  EXPECT_FALSE(spec->auth->settings.contains("oidc_client_secret"));
  EXPECT_EQ(spec->auth->client_secret.file, "oidc");
}

TEST(HarborSpec, EveryMistakeAtOnceWithLineFieldAndTheNearestName) {
  const auto text = problem(R"(projects:
  - name: K8s
    metadata: {auto_scann: true}
  - {name: apps, storage: 0}
robots:
  - name: pull
    project: app
    permissions: [{access: ["repository:pul"]}]
    secret: {name: x}
)");
  EXPECT_THAT(text, HasSubstr("harbor.yaml:6:"));
  EXPECT_THAT(text, HasSubstr("projects[0].name: must be lower-case"));
  EXPECT_THAT(text, HasSubstr("auto_scan"));
  EXPECT_THAT(text, HasSubstr("projects[1].storage: must be more than nothing"));
  EXPECT_THAT(text, HasSubstr("robots[0].project: app is not under projects; did you mean apps?"));
  EXPECT_THAT(text, HasSubstr("'pul' is no action; did you mean 'pull'?"));
}

TEST(HarborSpec, TheAddressIsAHostUnderTls) {
  const auto with_url = [](const std::string& url) {
    return problem("projects: [{name: a}]\n",
                   "kind: Harbor\nname: s\nadmin: {passwordFile: p}\nurl: " + url + "\n");
  };
  EXPECT_EQ(with_url("https://h.example:8443"), "no problem");
  EXPECT_THAT(with_url("http://h.example"), HasSubstr("plainHTTP: true allows http://"));
  EXPECT_THAT(with_url("https://h.example/harbor"), HasSubstr("must be https://HOST"));
  EXPECT_THAT(with_url("https://me:secret@h.example"), HasSubstr("must be https://HOST"));
  EXPECT_EQ(with_url("http://h.example\nplainHTTP: true"), "no problem");
}

TEST(HarborSpec, ThePasswordHasOnePlaceAndThatIsNotTheDocument) {
  const std::string_view begin = "kind: Harbor\nname: s\nurl: https://h\n";
  EXPECT_THAT(problem("projects: [{name: a}]\nadmin: {user: me}\n", begin),
              HasSubstr("must have passwordFile or passwordVariable"));
  EXPECT_THAT(
      problem("projects: [{name: a}]\nadmin: {passwordFile: a, passwordVariable: B}\n", begin),
      HasSubstr("exclude each other"));
  EXPECT_THAT(problem("projects: [{name: a}]\nadmin: {password: geheim}\n", begin),
              HasSubstr("admin"));
  EXPECT_THAT(problem("projects: [{name: a}]\n", begin), HasSubstr("must have admin"));
}

TEST(HarborSpec, RulesAreChecked) {
  const auto rule = [](const std::string& text) {
    return problem("projects:\n  - name: a\n    retention: {rules: [{" + text + "}]}\n");
  };
  EXPECT_EQ(rule("keep: latestPulledN, count: 1"), "no problem");
  EXPECT_THAT(rule("keep: latestPulledN"), HasSubstr("must have a count"));
  EXPECT_THAT(rule("keep: always, count: 1"), HasSubstr("other kinds of keep"));
  EXPECT_THAT(rule("keep: latestPushedN, count: 1"), HasSubstr("did you mean"));
  EXPECT_THAT(rule("keep: always, tags: a, tagsExcept: b"), HasSubstr("exclude each other"));
  EXPECT_THAT(problem("projects:\n  - name: a\n    retention: {schedule: '0 2 * * *'}\n"),
              HasSubstr("six fields"));
  std::string many;
  for (int i = 1; i <= 16; ++i) many += "{keep: latestPushedK, count: " + std::to_string(i) + "},";
  EXPECT_THAT(problem("projects:\n  - name: a\n    retention: {rules: [" + many + "]}\n"),
              HasSubstr("15 rules"));
}

TEST(HarborSpec, RobotsAreChecked) {
  const auto robot = [](const std::string& text) {
    return problem("projects: [{name: a}, {name: b}]\nrobots:\n  - {name: r, " + text + "}\n");
  };
  const std::string may = "permissions: [{project: a, access: ['repository:pull']}]";
  const std::string secret = "secret: {name: s}";
  EXPECT_EQ(robot(may + ", " + secret), "no problem");
  EXPECT_THAT(robot(may), HasSubstr("must have a secret"));
  EXPECT_THAT(robot(secret), HasSubstr("at least one permission"));
  EXPECT_THAT(robot("project: b, " + may + ", " + secret), HasSubstr("nothing elsewhere"));
  EXPECT_THAT(robot("duration: 0, " + may + ", " + secret), HasSubstr("-1 for ever"));
  EXPECT_THAT(robot("duration: 7, renewBefore: 7, " + may + ", " + secret),
              HasSubstr("shorter than the duration"));
  EXPECT_THAT(robot("description: " + std::string(901, 'x') + ", " + may + ", " + secret),
              HasSubstr("900 bytes"));
  EXPECT_THAT(robot("permissions: [{project: a, access: [pull]}], " + secret),
              HasSubstr("RESOURCE:ACTION"));
  EXPECT_THAT(robot(may + ", secret: {name: Not_A_Name, namespaces: [UP]}"),
              HasSubstr("UP is no namespace"));
}

TEST(HarborSpec, OidcNeedsItsParts) {
  const auto text = problem("auth: {auth_mode: oidc_auth, oidc_scope: profile}\n");
  EXPECT_THAT(text, HasSubstr("must have oidc_endpoint"));
  EXPECT_THAT(text, HasSubstr("must have oidc_client_secret_file or oidc_client_secret_variable"));
  EXPECT_THAT(text, HasSubstr("must name openid"));
  EXPECT_THAT(problem("auth: {auth_mode: oidc_auth, oidc_client_secret: geheim}\n"),
              Not(HasSubstr("geheim")));
}

}  // namespace
}  // namespace bedplate::harbor

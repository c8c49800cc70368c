#include "airgap-bundle/tests/harbor_contract.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airgap-bundle/harbor/rules.hpp"

namespace bedplate::harbor_test {

const char* const whole_document = R"(
projects:
  - name: k8s
    public: true
    storage: 200GiB
    metadata: {auto_scan: true, prevent_vul: false}
    retention:
      schedule: "0 0 2 * * *"
      rules:
        - {keep: latestPushedK, count: 10}
        - {keep: nDaysSinceLastPull, count: 30, tags: "v*"}
    immutable:
      - {tags: "v*"}
      - {repositories: "base/**", tagsExcept: "latest"}
  - {name: apps, storage: unlimited}
robots:
  - name: pull
    permissions:
      - {project: "*", access: ["repository:pull", "artifact:read"]}
      - {project: k8s, access: ["tag:list", "repository:push"]}
    secret: {name: harbor-pull, namespaces: [default, apps]}
  - name: push
    project: k8s
    duration: 90
    permissions: [{access: ["repository:push", "repository:pull"]}]
    secret: {name: harbor-push}
auth:
  auth_mode: oidc_auth
  oidc_name: keycloak
  oidc_endpoint: https://keycloak.example/realms/site
  oidc_client_id: harbor
  oidc_client_secret_file: unused
  oidc_scope: openid,profile
  oidc_auto_onboard: true
)";

std::vector<std::string> all_changes() {
  return {whole_document, R"(
projects:
  - name: k8s
    storage: 100GiB
    metadata: {auto_scan: false}
    retention: {schedule: "0 0 3 * * *", rules: [{keep: always}]}
    immutable: [{tags: "v*"}]
  - {name: apps}
robots:
  - name: pull
    permissions: [{project: "*", access: ["repository:pull"]}]
    secret: {name: harbor-pull}
)"};
}

void HarborContractTest::SetUp() {
  auto temporary = TemporaryDirectory::create("harbor-contract");
  ASSERT_TRUE(temporary);
  temporary_ = std::move(*temporary);
  // Robots end in real time: the server's.
  clock_.wall = SystemClock().now();
  start();
}

void HarborContractTest::TearDown() {
  if (!server_) return;
  const auto violations = state()["violations"];
  EXPECT_TRUE(violations.empty()) << "against the contract: " << violations.dump(2);
}

void HarborContractTest::start() {
  const auto python = bundle_test::program("python3");
  ASSERT_TRUE(python);
  server_.reset();
  port_ = bundle_test::free_port();
  const std::string folder = BEDPLATE_SOURCE_DIR "/airgap-bundle/harbor/";
  server_ = std::make_unique<bundle_test::Background>(
      std::vector<std::string>{*python, "-B", folder + "tools/contract_server.py",
                               folder + "testdata/contract.json", std::to_string(port_)},
      temporary_->path() / "server.log");
  ASSERT_TRUE(bundle_test::wait_for_port(port_)) << *read_file(temporary_->path() / "server.log");
}

Json HarborContractTest::ask(const std::string& path, const Json& body) {
  const auto http = make_http_client();
  HttpRequest request;
  request.url = fmt::format("http://127.0.0.1:{}{}", port_, path);
  if (!body.is_null()) {
    request.method = "POST";
    request.body = body.dump();
  }
  const auto response = http->send(request);
  EXPECT_TRUE(response) << response.error().render();
  return response ? Json::parse(response->body) : Json();
}

void HarborContractTest::by_hand(const std::string& method, const std::string& path,
                                 const Json& body) {
  const auto http = make_http_client();
  harbor::Api api(*http, target(), clock_);
  const auto done = api.expect({.method = method, .path = path, .body = body}, {200, 201});
  EXPECT_TRUE(done) << done.error().render();
}

int HarborContractTest::changes() {
  int out = 0;
  const auto all_seen = state()["seen"];
  for (const auto& name : all_seen) {
    const auto call = name.get<std::string>();
    out += call.starts_with("get") || call.starts_with("list") ? 0 : 1;
  }
  return out;
}

harbor::HarborSpec HarborContractTest::spec(const std::string& lists) const {
  const auto text = fmt::format(
      "kind: Harbor\nname: site\nurl: http://127.0.0.1:{}\nplainHTTP: true\n"
      "admin: {{passwordFile: unused}}\n{}",
      port_, lists);
  auto parsed = harbor::parse_spec(text, "harbor.yaml");
  EXPECT_TRUE(parsed) << parsed.error().render();
  return parsed ? *parsed : harbor::HarborSpec();
}

harbor::Target HarborContractTest::target() const {
  return {fmt::format("http://127.0.0.1:{}", port_), {}, "admin", "Harbor12345"};
}

Result<harbor::Plan> HarborContractTest::apply(const harbor::HarborSpec& spec,
                                               const harbor::ApplyOptions& options) {
  const auto http = make_http_client();
  harbor::Api api(*http, target(), clock_);
  harbor::SecretFolder secrets(folder());
  return harbor::apply({spec, api, secrets, spec.auth ? client_secret_ : "", clock_}, options);
}

harbor::Plan HarborContractTest::applied(const harbor::HarborSpec& spec,
                                         const harbor::ApplyOptions& options) {
  auto plan = apply(spec, options);
  EXPECT_TRUE(plan) << plan.error().render();
  return plan ? *plan : harbor::Plan();
}

int HarborContractTest::apply_and_be_killed(const harbor::HarborSpec& spec, int skip, bool after) {
  const auto child = ::fork();
  if (child == 0) {
    fault({{"call", "change"}, {"skip", skip}, {"after", after}, {"kill", ::getpid()}});
    ::_exit(apply(spec) ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

void HarborContractTest::expect_secrets_work() {
  const auto robots = state()["robots"];
  const auto held = harbor::SecretFolder(folder()).read();
  ASSERT_TRUE(held);
  std::size_t seen = 0;
  for (const auto& robot : robots) {
    const auto key = robot["name"].get<std::string>().substr(6);
    ASSERT_TRUE(held->contains(key)) << key;
    EXPECT_EQ(held->at(key).secret, robot["secret"].get<std::string>()) << key;
    EXPECT_TRUE(held->at(key).only_owner) << key;
    ++seen;
  }
  EXPECT_EQ(held->size(), seen);
}

Json HarborContractTest::essence() {
  auto now = state();
  std::map<std::int64_t, std::string> names;
  for (const auto& project : now["projects"]) names[project["project_id"]] = project["name"];
  Json out = {{"config", now["config"]}, {"client_secret", now["client_secret"]}};
  for (auto project : now["projects"]) {
    project["metadata"].erase("retention_id");
    out["projects"].push_back({project["name"], project["metadata"]});
  }
  for (const auto& robot : now["robots"]) {
    out["robots"].push_back({robot["name"], robot["description"], robot["duration"],
                             robot["disable"], robot["permissions"]});
  }
  for (const auto& quota : now["quotas"]) {
    out["quotas"].push_back({names[quota["project"]], quota["hard"]});
  }
  for (const auto& label : now["labels"]) {
    out["labels"].push_back({names[label["project_id"]], label["name"], label["description"]});
  }
  for (const auto& rule : now["rules"]) {
    out["rules"].push_back({names[rule["project"]], harbor::identity_of(rule), rule["disabled"]});
  }
  for (const auto& policy : now["policies"]) {
    Json rules = Json::array();
    for (const auto& rule : policy["rules"]) rules.push_back(harbor::identity_of(rule));
    out["policies"].push_back({names[policy["scope"]["ref"]], policy["trigger"], rules});
  }
  for (auto& [key, list] : out.items()) {
    if (list.is_array()) std::sort(list.begin(), list.end());
  }
  return out;
}

}  // namespace bedplate::harbor_test

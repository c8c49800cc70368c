#include "airgap-bundle/harbor/check.hpp"

#include <algorithm>
#include <cstdlib>
#include <span>

#include <fmt/format.h>

#include "airgap-bundle/harbor/rules.hpp"
#include "core/digest.hpp"

namespace bedplate::harbor {
namespace {

/// "errors.0.code" and the type that must be there.
struct Field {
  std::string path;
  std::string_view type;
};
using Fields = std::vector<Field>;

const Fields harbor_error = {{"errors.0.code", "string"}, {"errors.0.message", "string"}};

const Json* find_in(const Json& body, const std::string& path) {
  const Json* at = &body;
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const auto end = std::min(path.find('.', begin), path.size());
    const auto key = path.substr(begin, end - begin);
    if (at->is_array()) {
      const auto index = static_cast<std::size_t>(std::strtoul(key.c_str(), nullptr, 10));
      if (index >= at->size()) return nullptr;
      at = &(*at)[index];
    } else {
      if (!at->is_object()) return nullptr;
      const auto found = at->find(key);
      if (found == at->end()) return nullptr;
      at = &*found;
    }
    begin = end + 1;
  }
  return at;
}

std::string type_of(const Json* value) {
  if (value == nullptr) return "nothing";
  if (value->is_number_integer()) return "integer";
  return value->type_name();
}

class Checker {
 public:
  Checker(HttpClient& http, const Target& target, Clock& clock)
      : api_(http, target, clock),
        nobody_(http, Target{target.url, target.tls, {}, {}}, clock),
        name_("bedplate-check-" + hex_encode(as_byte_span(random_bytes(4)))) {}

  Result<CheckReport> run() {
    // Without an answer to this nothing was made and nothing can be said.
    BP_TRY_DURING(const auto first, "asking whether Harbor is there",
                  api_.send({.path = "/systeminfo"}));
    if (first.body.is_object()) report_.version = json_string_or(first.body, "harbor_version", "");
    system();
    configuration();
    projects();
    // Without a project of its own the calls below would reach what others made.
    if (project_ != 0) {
      quotas();
      robots();
      labels();
      retention();
      immutability();
      clean_up();
    } else if (!stopped_) {
      report_.rows.push_back({"the calls within a project", "a project", "none was made", false});
    }
    end_of_project();
    return std::move(report_);
  }

 private:
  static std::span<const std::byte> as_byte_span(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
  }

  /// Null when there was no answer, now or before.
  Json step(const std::string& call_name, const Call& call, int wanted, const Fields& fields = {}) {
    return step_as(api_, call_name, call, wanted, fields);
  }
  Json step_as(Api& api, const std::string& call_name, const Call& call, int wanted,
               const Fields& fields) {
    location_.clear();
    if (stopped_) return {};
    CheckRow row{call_name, std::to_string(wanted), {}, true};
    const auto answer = api.send(call);
    if (!answer) {
      stopped_ = true;
      row.got = "no answer: " + answer.error().what;
      row.passed = false;
      report_.rows.push_back(std::move(row));
      return {};
    }
    row.got = std::to_string(answer->status);
    const auto location = answer->headers.find("location");
    if (location != answer->headers.end()) location_ = location->second;
    row.passed = answer->status == wanted;
    for (const auto& field : fields) {
      row.expected += fmt::format(", {}: {}", field.path, field.type);
      const auto type = type_of(find_in(answer->body, field.path));
      if (type == field.type) continue;
      row.got += fmt::format(", {}: {}", field.path, type);
      row.passed = false;
    }
    report_.rows.push_back(std::move(row));
    return answer->body;
  }
  /// A row about what an answer said.
  void compare(const std::string& call_name, const std::string& expected, const std::string& got) {
    if (!stopped_) report_.rows.push_back({call_name, expected, got, expected == got});
  }
  static std::int64_t id_in(const Json& body, const std::string& path) {
    const auto* found = find_in(body, path);
    return found != nullptr && found->is_number_integer() ? found->get<std::int64_t>() : 0;
  }
  static std::string text_in(const Json& body, const std::string& path) {
    const auto* found = find_in(body, path);
    return found != nullptr && found->is_string() ? found->get<std::string>() : type_of(found);
  }

  Call project_call(std::string method, const std::string& below = {},
                    std::optional<Json> body = std::nullopt) const {
    return {.method = std::move(method),
            .path = "/projects/" + name_ + below,
            .body = std::move(body),
            .by_name = true};
  }

  void system();
  void configuration();
  void projects();
  void quotas();
  void robots();
  void labels();
  void retention();
  void immutability();
  void clean_up();
  void end_of_project();
  void remove(const std::string& what, const std::string& path, bool by_name = false);
  Json robot_body(std::int64_t duration) const;

  Api api_;
  Api nobody_;
  std::string name_;
  CheckReport report_;
  std::string prefix_ = "robot$";
  std::int64_t project_ = 0;
  bool project_made_ = false;
  std::int64_t robot_ = 0;
  std::int64_t retention_ = 0;
  std::string location_;  ///< of what was made last
  bool stopped_ = false;
};

void Checker::system() {
  step("getHealth", {.path = "/health"}, 200, {{"status", "string"}, {"components", "array"}});
  step("getSystemInfo", {.path = "/systeminfo"}, 200, {{"harbor_version", "string"}});
}

void Checker::configuration() {
  const auto config = step("getConfigurations", {.path = "/configurations"}, 200,
                           {{"auth_mode.value", "string"},
                            {"auth_mode.editable", "boolean"},
                            {"robot_name_prefix.value", "string"},
                            {"quota_per_project_enable.value", "boolean"}});
  step_as(nobody_, "getConfigurations, nobody", {.path = "/configurations"}, 401, harbor_error);
  const auto* prefix = find_in(config, "robot_name_prefix.value");
  if (prefix != nullptr && prefix->is_string()) prefix_ = prefix->get<std::string>();
  const auto* quotas = find_in(config, "quota_per_project_enable.value");
  const auto* editable = find_in(config, "quota_per_project_enable.editable");
  if (quotas == nullptr || !quotas->is_boolean() || editable == nullptr || *editable != true)
    return;
  step("updateConfigurations, as it was",
       {.method = "PUT",
        .path = "/configurations",
        .body = Json{{"quota_per_project_enable", *quotas}}},
       200);
  step_as(nobody_, "updateConfigurations, nobody",
          {.method = "PUT",
           .path = "/configurations",
           .body = Json{{"quota_per_project_enable", *quotas}}},
          401, harbor_error);
}

void Checker::projects() {
  step("getProject, missing", project_call("GET"), 404, harbor_error);
  step("createProject, metadata.public wrong",
       {.method = "POST",
        .path = "/projects",
        .body = Json{{"project_name", name_}, {"metadata", {{"public", "maybe"}}}}},
       400, harbor_error);
  const Json body = {{"project_name", name_},
                     {"metadata", {{"public", "false"}, {"auto_scan", "false"}}},
                     {"storage_limit", 1 << 30}};
  const Call create{.method = "POST", .path = "/projects", .body = body};
  project_made_ = !stopped_;  // even an error may have come after the deed
  step("createProject", create, 201);
  step("createProject, twice", create, 409, harbor_error);
  const auto made = step("getProject", project_call("GET"), 200,
                         {{"project_id", "integer"}, {"name", "string"}, {"metadata", "object"}});
  project_ = id_in(made, "project_id");
  step("updateProject", project_call("PUT", {}, Json{{"metadata", {{"auto_scan", "true"}}}}), 200);
  const auto changed = step("getProject, changed", project_call("GET"), 200);
  compare("getProject, changed", "auto_scan true, public false",
          fmt::format("auto_scan {}, public {}", text_in(changed, "metadata.auto_scan"),
                      text_in(changed, "metadata.public")));
}

void Checker::quotas() {
  const Call list{.path = "/quotas",
                  .query = {{"reference", "project"}, {"reference_id", std::to_string(project_)}}};
  const auto quotas =
      step("listQuotas", list, 200, {{"0.id", "integer"}, {"0.hard.storage", "integer"}});
  const auto id = id_in(quotas, "0.id");
  const auto* owner = find_in(quotas, "0.ref.id");
  if (owner != nullptr && *owner != project_) {
    return compare("listQuotas, of the project", std::to_string(project_), owner->dump());
  }
  if (id == 0) return;
  step("updateQuota",
       {.method = "PUT",
        .path = fmt::format("/quotas/{}", id),
        .body = Json{{"hard", {{"storage", -1}}}}},
       200);
  compare("listQuotas, changed", "-1",
          std::to_string(id_in(step("listQuotas", list, 200), "0.hard.storage")));
}

Json Checker::robot_body(std::int64_t duration) const {
  return {{"name", "check"},
          {"description", robot_mark("check")},
          {"level", "project"},
          {"duration", duration},
          {"disable", false},
          {"permissions",
           {{{"kind", "project"},
             {"namespace", name_},
             {"access", {{{"resource", "repository"}, {"action", "pull"}}}}}}}};
}

void Checker::robots() {
  step("createRobot, duration wrong", {.method = "POST", .path = "/robots", .body = robot_body(0)},
       400, harbor_error);
  const Call create{.method = "POST", .path = "/robots", .body = robot_body(1)};
  const auto made = step("createRobot", create, 201,
                         {{"id", "integer"}, {"name", "string"}, {"secret", "string"}});
  robot_ = id_in(made, "id");
  compare("createRobot, name", prefix_ + name_ + "+check", text_in(made, "name"));
  step("createRobot, twice", create, 409, harbor_error);
  const Call list{.path = "/robots",
                  .query = {{"q", fmt::format("Level=project,ProjectID={}", project_)},
                            {"page", "1"},
                            {"page_size", "1"}}};
  const auto listed = step("listRobots", list, 200,
                           {{"0.id", "integer"},
                            {"0.name", "string"},
                            {"0.description", "string"},
                            {"0.duration", "integer"},
                            {"0.disable", "boolean"},
                            {"0.expires_at", "integer"},
                            {"0.permissions.0.access.0.action", "string"}});
  const auto name = prefix_ + name_ + "+check";
  if (robot_ == 0 && text_in(listed, "0.name") == name) robot_ = id_in(listed, "0.id");
  if (robot_ == 0) return compare("listRobots, ours", name, text_in(listed, "0.name"));
  const auto path = fmt::format("/robots/{}", robot_);
  auto changed = robot_body(2);
  changed["id"] = robot_;
  changed["name"] = name;
  step("updateRobot", {.method = "PUT", .path = path, .body = changed}, 200);
  compare("listRobots, changed", "2",
          std::to_string(id_in(step("listRobots", list, 200), "0.duration")));
  step("refreshRobot", {.method = "PATCH", .path = path, .body = Json{{"secret", ""}}}, 200,
       {{"secret", "string"}});
  step("deleteRobot", {.method = "DELETE", .path = path}, 200);
  step("deleteRobot, twice", {.method = "DELETE", .path = path}, 404, harbor_error);
}

void Checker::labels() {
  const Json body = {{"name", label_name("check")},
                     {"description", label_text("check", {})},
                     {"color", "#808080"},
                     {"scope", "p"},
                     {"project_id", project_}};
  const Call create{.method = "POST", .path = "/labels", .body = body};
  step("createLabel", create, 201);
  step("createLabel, twice", create, 409, harbor_error);
  const Call list{
      .path = "/labels",
      .query = {
          {"scope", "p"}, {"project_id", std::to_string(project_)}, {"name", label_name("check")}}};
  const auto label =
      id_in(step("listLabels", list, 200,
                 {{"0.id", "integer"}, {"0.name", "string"}, {"0.description", "string"}}),
            "0.id");
  if (label == 0) return;
  const auto path = fmt::format("/labels/{}", label);
  auto changed = body;
  changed["description"] = label_text("check", {"0123456789abcdef"});
  step("updateLabel", {.method = "PUT", .path = path, .body = changed}, 200);
  compare("listLabels, changed", label_text("check", {"0123456789abcdef"}),
          text_in(step("listLabels", list, 200), "0.description"));
  step("deleteLabel", {.method = "DELETE", .path = path}, 200);
}

void Checker::retention() {
  const RetentionRule rule{"latestPushedK", 3, true, {}};
  Json body = {{"algorithm", "or"},
               {"rules", Json::array({to_json(rule)})},
               {"trigger", {{"kind", "Schedule"}, {"settings", {{"cron", ""}}}}},
               {"scope", {{"level", "project"}, {"ref", project_}}}};
  step("createRetention", {.method = "POST", .path = "/retentions", .body = body}, 201);
  const auto place = location_.find("/retentions/");
  if (place != std::string::npos) {
    retention_ = std::strtoll(location_.substr(location_.rfind('/') + 1).c_str(), nullptr, 10);
  }
  const auto project = step("getProject, with retention", project_call("GET"), 200,
                            {{"metadata.retention_id", "string"}});
  compare("getProject, the id of retention", std::to_string(retention_),
          text_in(project, "metadata.retention_id"));
  // Any administrator may change any policy: only what both say is ours is touched.
  if (retention_ == 0 || text_in(project, "metadata.retention_id") != std::to_string(retention_)) {
    return;
  }
  const auto path = fmt::format("/retentions/{}", retention_);
  const auto read = step("getRetention", {.path = path}, 200,
                         {{"rules.0.template", "string"},
                          {"rules.0.tag_selectors.0.pattern", "string"},
                          {"trigger.settings.cron", "string"}});
  const auto* first = find_in(read, "rules.0");
  compare("getRetention, the same rule", identity_of(to_json(rule)),
          first != nullptr && first->is_object() ? identity_of(*first) : "nothing");
  body["id"] = retention_;
  body["trigger"]["settings"]["cron"] = "0 0 3 * * *";
  step("updateRetention", {.method = "PUT", .path = path, .body = body}, 200);
  compare("getRetention, changed", "0 0 3 * * *",
          text_in(step("getRetention", {.path = path}, 200), "trigger.settings.cron"));
  step("deleteRetention", {.method = "DELETE", .path = path}, 200);
}

void Checker::immutability() {
  auto body = immutable_to_json({});
  const auto create = project_call("POST", "/immutabletagrules", body);
  step("createImmutableRule", create, 201);
  step("createImmutableRule, twice", create, 409, harbor_error);
  const auto list = project_call("GET", "/immutabletagrules");
  const auto listed = step(
      "listImmutableRules", list, 200,
      {{"0.id", "integer"}, {"0.disabled", "boolean"}, {"0.tag_selectors.0.pattern", "string"}});
  const auto* first = find_in(listed, "0");
  compare("listImmutableRules, the same rule", identity_of(body),
          first != nullptr && first->is_object() ? identity_of(*first) : "nothing");
  const auto id = id_in(listed, "0.id");
  if (id == 0) return;
  const auto below = fmt::format("/immutabletagrules/{}", id);
  body["id"] = id;
  body["disabled"] = true;
  step("updateImmutableRule", project_call("PUT", below, body), 200);
  const auto changed = step("listImmutableRules", list, 200, {{"0.disabled", "boolean"}});
  const auto* disabled = find_in(changed, "0.disabled");
  compare("listImmutableRules, changed", "true",
          disabled != nullptr ? disabled->dump() : "nothing");
  step("deleteImmutableRule", project_call("DELETE", below), 200);
}

void Checker::remove(const std::string& what, const std::string& path, bool by_name) {
  const auto answer = api_.send({.method = "DELETE", .path = path, .by_name = by_name});
  if (answer && (answer->status == 200 || answer->status == 404)) return;
  report_.left.push_back(fmt::format("{} ({})", what, path));
}

/// What the calls above did not come to remove, or whose id they were not told.
void Checker::clean_up() {
  if (robot_ != 0) remove("robot " + name_ + "+check", fmt::format("/robots/{}", robot_));
  if (project_ == 0) return;
  const auto labels = api_.list({.path = "/labels",
                                 .query = {{"scope", "p"},
                                           {"project_id", std::to_string(project_)},
                                           {"name", label_name("check")}}});
  for (const auto& label : labels ? *labels : std::vector<Json>()) {
    remove("label " + label_name("check"), fmt::format("/labels/{}", id_in(label, "id")));
  }
  const auto project = api_.send(project_call("GET"));
  const auto* retention = project ? find_in(project->body, "metadata.retention_id") : nullptr;
  if (retention == nullptr || !retention->is_string()) return;
  remove("retention of " + name_, "/retentions/" + retention->get<std::string>());
}

void Checker::end_of_project() {
  if (!project_made_) return;
  if (stopped_) return remove("project " + name_, "/projects/" + name_, true);
  step("deleteProject", project_call("DELETE"), 200);
  const auto there = api_.send(project_call("GET"));
  if (there && there->status == 404) return;
  remove("project " + name_, "/projects/" + name_, true);
}

}  // namespace

Result<CheckReport> check(HttpClient& http, const Target& target, Clock& clock) {
  return Checker(http, target, clock).run();
}

}  // namespace bedplate::harbor

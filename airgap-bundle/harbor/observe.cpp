#include "airgap-bundle/harbor/observe.hpp"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "airgap-bundle/harbor/rules.hpp"

namespace bedplate::harbor {
namespace {

std::int64_t int_or(const Json& object, std::string_view key, std::int64_t fallback) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>()
                                                             : fallback;
}

bool bool_or(const Json& object, std::string_view key, bool fallback) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() ? found->get<bool>() : fallback;
}

Json child(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() ? Json() : *found;
}

/// An id must be there: what follows is addressed by it.
Result<std::int64_t> id_of(const Json& object, std::string_view what) {
  const auto id = int_or(object, what == "project" ? "project_id" : "id", 0);
  if (id > 0) return id;
  return fail(ErrorKind::invalid, fmt::format("Harbor lists a {} without its id", what),
              "`bedplate harbor check` compares this Harbor with what is expected of one");
}

std::vector<Permission> permissions_of(const Json& robot) {
  std::vector<Permission> out;
  for (const auto& item : child(robot, "permissions")) {
    if (!item.is_object()) continue;
    Permission permission{
        json_string_or(item, "kind", ""), json_string_or(item, "namespace", ""), {}};
    for (const auto& access : child(item, "access")) {
      if (!access.is_object()) continue;
      const bool denied = json_string_or(access, "effect", "") == "deny";
      permission.access.push_back(fmt::format("{}{}:{}", denied ? "deny " : "",
                                              json_string_or(access, "resource", ""),
                                              json_string_or(access, "action", "")));
    }
    std::ranges::sort(permission.access);
    out.push_back(std::move(permission));
  }
  std::ranges::sort(out);
  return out;
}

/// Harbor does not look at the level alone, so the query names a project, too: 0 for the system.
Result<std::vector<ObservedRobot>> robots_of(Api& api, const std::string& query,
                                             const std::string& prefix) {
  std::vector<ObservedRobot> out;
  BP_TRY(const auto listed, api.list({.path = "/robots", .query = {{"q", query}}}));
  const auto* level = query.starts_with("Level=system") ? "system" : "project";
  for (const auto& item : listed) {
    if (json_string_or(item, "level", level) != level) continue;
    ObservedRobot robot;
    BP_TRY(robot.id, id_of(item, "robot"));
    robot.name = json_string_or(item, "name", "");
    robot.key = robot.name.starts_with(prefix) ? robot.name.substr(prefix.size()) : robot.name;
    robot.description = json_string_or(item, "description", "");
    robot.disabled = bool_or(item, "disable", false);
    robot.editable = bool_or(item, "editable", true);
    robot.duration = int_or(item, "duration", -1);
    robot.expires_at = int_or(item, "expires_at", -1);
    robot.permissions = permissions_of(item);
    out.push_back(std::move(robot));
  }
  return out;
}

ObservedRule rule_of(const Json& body) {
  return {int_or(body, "id", 0), identity_of(body), bool_or(body, "disabled", false), body};
}

Result<ObservedPolicy> policy_of(Api& api, std::int64_t id) {
  BP_TRY(const auto body, api.object({.path = fmt::format("/retentions/{}", id)}));
  ObservedPolicy out;
  out.id = id;
  const auto settings = child(child(body, "trigger"), "settings");
  if (settings.is_object()) out.schedule = json_string_or(settings, "cron", "");
  for (const auto& rule : child(body, "rules")) {
    if (rule.is_object()) out.rules.push_back(rule_of(rule));
  }
  return out;
}

Result<std::optional<ObservedQuota>> quota_of(Api& api, std::int64_t project) {
  BP_TRY(
      const auto quotas,
      api.list({.path = "/quotas",
                .query = {{"reference", "project"}, {"reference_id", std::to_string(project)}}}));
  if (quotas.empty()) return std::nullopt;
  ObservedQuota out;
  BP_TRY(out.id, id_of(quotas.front(), "quota"));
  const auto hard = child(quotas.front(), "hard");
  out.storage = hard.is_object() ? int_or(hard, "storage", -1) : -1;
  return out;
}

Result<std::optional<ObservedLabel>> label_of(Api& api, std::int64_t project,
                                              const std::string& name) {
  BP_TRY(const auto labels,
         api.list(
             {.path = "/labels",
              .query = {{"scope", "p"}, {"project_id", std::to_string(project)}, {"name", name}}}));
  for (const auto& item : labels) {  // the name is a part of what is found, not all of it
    if (json_string_or(item, "name", "") != name) continue;
    ObservedLabel out;
    BP_TRY(out.id, id_of(item, "label"));
    out.text = json_string_or(item, "description", "");
    return out;
  }
  return std::nullopt;
}

Result<void> read_rules(Api& api, const std::string& name, ObservedProject& project) {
  BP_TRY(const auto rules,
         api.list({.path = fmt::format("/projects/{}/immutabletagrules", name), .by_name = true}));
  for (const auto& body : rules) {
    project.immutable.push_back(rule_of(body));
    BP_TRY(project.immutable.back().id, id_of(body, "rule"));
  }
  const auto policy = project.metadata.find("retention_id");
  if (policy == project.metadata.end() || policy->second.empty()) return {};
  const auto id = std::strtoll(policy->second.c_str(), nullptr, 10);
  if (id <= 0) return {};
  BP_TRY(project.retention, policy_of(api, id));
  return {};
}

Result<std::optional<ObservedProject>> project_of(Api& api, const HarborSpec& spec,
                                                  const std::string& name,
                                                  const std::string& prefix) {
  const Call call{.path = "/projects/" + name, .by_name = true};
  BP_TRY(const auto answer, api.expect(call, {200, 404}));
  if (answer.status == 404) return std::nullopt;
  if (!answer.body.is_object()) {
    return fail(ErrorKind::invalid, fmt::format("GET {}: the answer is no JSON object", call.path),
                "something other than Harbor may answer at `url`");
  }
  ObservedProject out;
  BP_TRY(out.id, id_of(answer.body, "project"));
  out.proxy = int_or(answer.body, "registry_id", 0) > 0;
  const auto metadata = child(answer.body, "metadata");
  if (metadata.is_object()) {
    for (const auto& [key, value] : metadata.items()) {
      if (value.is_string()) out.metadata[key] = value.get<std::string>();
    }
  }
  BP_TRY(out.quota, quota_of(api, out.id));
  BP_TRY(out.robots, robots_of(api, fmt::format("Level=project,ProjectID={}", out.id), prefix));
  BP_TRY(out.label, label_of(api, out.id, label_name(spec.name)));
  BP_CHECK(read_rules(api, name, out));
  return out;
}

}  // namespace

std::string Observed::robot_prefix() const {
  const auto found = config.find("robot_name_prefix");
  return found != config.end() && found->second.value.is_string()
             ? found->second.value.get<std::string>()
             : "robot$";
}

std::string client_secret_owner(const HarborSpec& spec) {
  std::string out = spec.url;
  if (!spec.auth) return out;
  for (const auto* key : {"oidc_endpoint", "oidc_client_id"}) {
    const auto found = spec.auth->settings.find(key);
    if (found != spec.auth->settings.end()) out += "\n" + found->second.dump();
  }
  return out;
}

Result<Observed> observe(Api& api, const HarborSpec& spec, const SecretFolder& folder,
                         const std::string& client_secret, WallTime now) {
  Observed out;
  out.now = now;
  BP_TRY_DURING(const auto config, "reading Harbor's configuration",
                api.object({.path = "/configurations"}));
  for (const auto& [key, item] : config.items()) {
    if (!item.is_object()) continue;
    out.config[key] = {child(item, "value"), bool_or(item, "editable", true)};
  }
  const auto prefix = out.robot_prefix();
  BP_TRY_DURING(out.robots, "reading Harbor's robots",
                robots_of(api, "Level=system,ProjectID=0", prefix));
  for (const auto& project : spec.projects) {
    BP_TRY_DURING(auto found, "reading project " + project.name,
                  project_of(api, spec, project.name, prefix));
    if (found) out.projects[project.name] = std::move(*found);
  }
  BP_TRY_DURING(out.secrets, "reading the secrets of robots", folder.read());
  out.client_secret_given =
      !client_secret.empty() && folder.remembers(client_secret_owner(spec), client_secret);
  return out;
}

}  // namespace bedplate::harbor

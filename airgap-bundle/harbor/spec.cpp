#include "airgap-bundle/harbor/spec.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "core/net.hpp"
#include "core/yaml.hpp"

namespace bedplate::harbor {
namespace {

constexpr std::int64_t most_days = 36'500;
constexpr std::size_t longest_description = 900;  // Harbor keeps 1024 bytes, our mark included
constexpr std::size_t most_rules = 15;            // Harbor's own limit of a retention policy

/// Keys of a project's metadata that are true or false.
const std::vector<std::string> switches = {"auto_scan",
                                           "auto_sbom_generation",
                                           "prevent_vul",
                                           "reuse_sys_cve_allowlist",
                                           "enable_content_trust",
                                           "enable_content_trust_cosign"};

const std::vector<std::string> auth_texts = {
    "oidc_name",         "oidc_endpoint",     "oidc_client_id",
    "oidc_scope",        "oidc_groups_claim", "oidc_admin_group",
    "oidc_group_filter", "oidc_user_claim",   "oidc_extra_redirect_parms"};
const std::vector<std::string> auth_switches = {"oidc_verify_cert", "oidc_auto_onboard",
                                                "oidc_logout", "primary_auth_mode"};

const std::vector<std::string> actions = {"pull",   "push", "create",  "read",         "update",
                                          "delete", "list", "operate", "scanner-pull", "stop"};

/// Harbor: lower-case letters and digits, in parts that '.', '_' or '-' join.
bool is_harbor_name(std::string_view text) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (text.empty() || text.size() > 255 || !plain(text.front()) || !plain(text.back()))
    return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool joint = text[i] == '.' || text[i] == '_' || text[i] == '-';
    if (!plain(text[i]) && !(joint && plain(text[i - 1]))) return false;
  }
  return true;
}

std::string harbor_name(const YamlNode& node) {
  auto name = node.string();
  if (node.present() && !is_harbor_name(name)) {
    node.finding("must be lower-case letters and digits, in parts joined by '.', '_' or '-'");
  }
  return name;
}

SecretSource parse_source(const YamlNode& node, const std::string& file_key,
                          const std::string& variable_key, bool required) {
  SecretSource out{node[file_key].string(false), node[variable_key].string(false)};
  if (node[file_key].present() && node[variable_key].present()) {
    node.finding(fmt::format("{} and {} exclude each other", file_key, variable_key));
  } else if (required && node.is_map() && !out.given()) {
    node.finding(fmt::format("must have {} or {}", file_key, variable_key));
  }
  return out;
}

void parse_pattern(const YamlNode& node, const std::string& key, std::string& pattern,
                   bool& except) {
  const auto some = node[key];
  const auto others = node[key + "Except"];
  if (some.present() && others.present()) {
    node.finding(fmt::format("{0} and {0}Except exclude each other", key));
  }
  except = others.present();
  pattern = (except ? others : some).string(false, "**");
  if (pattern.empty()) node.finding(key + " must not be empty; ** is everything");
}

RuleScope parse_scope(const YamlNode& node) {
  RuleScope out;
  parse_pattern(node, "repositories", out.repositories, out.except_repositories);
  parse_pattern(node, "tags", out.tags, out.except_tags);
  return out;
}

RetentionRule parse_retention_rule(const YamlNode& node) {
  RetentionRule out;
  node.expect_map(
      {"keep", "count", "untagged", "repositories", "repositoriesExcept", "tags", "tagsExcept"});
  if (!node.is_map()) return out;
  out.keep = node["keep"].choice(
      {"latestPushedK", "latestPulledN", "nDaysSinceLastPush", "nDaysSinceLastPull", "always"},
      true);
  const auto count = node["count"];
  if (out.keep == "always") {
    if (count.present()) count.finding("is for the other kinds of keep");
  } else if (!count.present()) {
    node.finding("must have a count: of artifacts or of days");
  } else {
    out.count = count.integer(1, 1, 1'000'000);
  }
  out.untagged = node["untagged"].boolean(true);
  out.scope = parse_scope(node);
  return out;
}

/// Harbor's cron has six fields and begins with seconds; crontab's five are a frequent mistake.
void check_schedule(const YamlNode& node, const std::string& schedule) {
  if (schedule.empty()) return;
  std::size_t fields = 0;
  bool inside = false;
  for (const char c : schedule) {
    if (c != ' ' && !inside) ++fields;
    inside = c != ' ';
  }
  if (fields != 6) node.finding("must have six fields, the first of them seconds: 0 0 2 * * *");
}

RetentionSpec parse_retention(const YamlNode& node) {
  RetentionSpec out;
  node.expect_map({"schedule", "rules"});
  if (!node.is_map()) return out;
  if (node["schedule"].present()) {
    out.schedule = node["schedule"].string(false);
    check_schedule(node["schedule"], *out.schedule);
  }
  for (const auto& item : node["rules"].list()) out.rules.push_back(parse_retention_rule(item));
  if (out.rules.size() > most_rules) {
    node["rules"].finding(fmt::format("Harbor takes {} rules at most", most_rules));
  }
  return out;
}

void parse_metadata(const YamlNode& node, ProjectSpec& project) {
  if (!node.present()) return;
  auto known = switches;
  known.emplace_back("severity");
  node.expect_map(known);
  if (!node.is_map()) return;
  for (const auto& key : switches) {
    if (!node[key].present()) continue;
    project.metadata[key] = node[key].boolean(false) ? "true" : "false";
  }
  if (node["severity"].present()) {
    project.metadata["severity"] =
        node["severity"].choice({"none", "low", "medium", "high", "critical"}, true);
  }
}

std::optional<std::int64_t> parse_storage(const YamlNode& node) {
  if (!node.present()) return std::nullopt;
  if (node.is_scalar() && node.string() == "unlimited") return -1;
  const auto bytes = node.bytes(1);
  if (bytes == 0) node.finding("must be more than nothing; 'unlimited' sets no limit");
  return static_cast<std::int64_t>(bytes);
}

ProjectSpec parse_project(const YamlNode& node) {
  ProjectSpec out;
  out.line = node.line();
  node.expect_map({"name", "public", "storage", "metadata", "retention", "immutable"});
  if (!node.is_map()) return out;
  out.name = harbor_name(node["name"]);
  // Not said is not changed; Harbor makes projects that nobody but members may see.
  if (node["public"].present()) {
    out.metadata["public"] = node["public"].boolean(false) ? "true" : "false";
  }
  out.storage = parse_storage(node["storage"]);
  parse_metadata(node["metadata"], out);
  if (node["retention"].present()) out.retention = parse_retention(node["retention"]);
  for (const auto& item : node["immutable"].list()) {
    item.expect_map({"repositories", "repositoriesExcept", "tags", "tagsExcept"});
    if (item.is_map()) out.immutable.push_back(parse_scope(item));
  }
  return out;
}

std::vector<std::string> parse_access(const YamlNode& node) {
  std::vector<std::string> out;
  for (const auto& item : node.list()) {
    auto text = item.string();
    const auto colon = text.find(':');
    if (colon == std::string::npos || colon == 0) {
      item.finding("must be RESOURCE:ACTION, such as repository:pull");
      continue;
    }
    const auto action = text.substr(colon + 1);
    if (std::ranges::find(actions, action) == actions.end()) {
      const auto near = nearest(action, actions);
      item.finding(fmt::format("'{}' is no action{} ({})", action,
                               near ? fmt::format("; did you mean '{}'?", *near) : "",
                               fmt::join(actions, ", ")));
    }
    out.push_back(std::move(text));
  }
  if (out.empty()) node.finding("must list at least one RESOURCE:ACTION");
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

Permission parse_permission(const YamlNode& node, const std::string& own_project) {
  Permission out;
  node.expect_map({"project", "system", "access"});
  if (!node.is_map()) return out;
  const bool system = node["system"].boolean(false);
  out.kind = system ? "system" : "project";
  out.scope = system ? "/" : node["project"].string(own_project.empty(), own_project);
  if (system && node["project"].present()) node.finding("project and system exclude each other");
  if (!own_project.empty() && (system || out.scope != own_project)) {
    node.finding(
        "a robot of a project may do nothing elsewhere: leave its 'project' out and make "
        "it one of the system");
  }
  if (!system && node["project"].present() && out.scope != "*" && !is_harbor_name(out.scope)) {
    node["project"].finding("must be the name of a project, or '*' for all of them");
  }
  out.access = parse_access(node["access"]);
  return out;
}

void parse_secret(const YamlNode& node, RobotSpec& robot) {
  node.expect_map({"name", "namespaces"});
  if (!node.is_map()) return;
  robot.secret_name = node["name"].string();
  if (node["name"].present() && !is_dns_name(robot.secret_name)) {
    node["name"].finding("must be a name that Kubernetes takes: lower-case letters, digits, '-'");
  }
  robot.namespaces = node["namespaces"].strings();
  for (const auto& name_space : robot.namespaces) {
    if (!is_dns_label(name_space)) node["namespaces"].finding(name_space + " is no namespace");
  }
  if (robot.namespaces.empty()) robot.namespaces = {"default"};
}

RobotSpec parse_robot(const YamlNode& node) {
  RobotSpec out;
  node.expect_map(
      {"name", "project", "description", "duration", "renewBefore", "permissions", "secret"});
  if (!node.is_map()) return out;
  out.name = harbor_name(node["name"]);
  if (node["project"].present()) out.project = harbor_name(node["project"]);
  out.description = node["description"].string(false);
  if (out.description.size() > longest_description) {
    node["description"].finding(fmt::format("must not be over {} bytes", longest_description));
  }
  out.duration = node["duration"].integer(-1, -1, most_days);
  if (out.duration == 0) node["duration"].finding("must be a number of days, or -1 for ever");
  out.renew_before = node["renewBefore"].integer(0, 0, most_days);
  if (out.duration > 0 && out.renew_before >= out.duration) {
    node["renewBefore"].finding("must be shorter than the duration");
  }
  std::set<std::string> scopes;
  for (const auto& item : node["permissions"].list()) {
    out.permissions.push_back(parse_permission(item, out.project));
    if (!scopes.insert(out.permissions.back().scope).second) {
      item.finding(out.permissions.back().scope + " is listed twice");
    }
  }
  std::ranges::sort(out.permissions);
  if (out.permissions.empty()) node.finding("must list at least one permission");
  if (node["secret"].present()) {
    parse_secret(node["secret"], out);
  } else {
    node.finding("must have a secret: where its password goes");
  }
  return out;
}

AuthSpec parse_auth(const YamlNode& node) {
  AuthSpec out;
  std::vector<std::string> known = {"auth_mode", "oidc_client_secret_file",
                                    "oidc_client_secret_variable"};
  known.insert(known.end(), auth_texts.begin(), auth_texts.end());
  known.insert(known.end(), auth_switches.begin(), auth_switches.end());
  node.expect_map(known);
  if (!node.is_map()) return out;
  const auto mode = node["auth_mode"].choice({"db_auth", "oidc_auth"}, true);
  out.settings["auth_mode"] = mode;
  for (const auto& key : auth_texts) {
    if (node[key].present()) out.settings[key] = node[key].string();
  }
  for (const auto& key : auth_switches) {
    if (node[key].present()) out.settings[key] = node[key].boolean(false);
  }
  out.client_secret = parse_source(node, "oidc_client_secret_file", "oidc_client_secret_variable",
                                   mode == "oidc_auth");
  if (mode != "oidc_auth") return out;
  for (const auto* key : {"oidc_name", "oidc_endpoint", "oidc_client_id", "oidc_scope"}) {
    if (!node[key].present()) node.finding(fmt::format("must have {} with oidc_auth", key));
  }
  if (const auto scope = node["oidc_scope"].string(false);
      node["oidc_scope"].present() && ("," + scope + ",").find(",openid,") == std::string::npos) {
    node["oidc_scope"].finding("must name openid, with commas between: openid,profile,email");
  }
  return out;
}

void parse_url(const YamlNode& root, HarborSpec& spec) {
  const auto node = root["url"];
  spec.url = node.string();
  while (spec.url.ends_with('/')) spec.url.pop_back();
  const bool plain = root["plainHTTP"].boolean(false);
  const std::string_view scheme = plain ? "http://" : "https://";
  const auto host = spec.url.starts_with(scheme) ? spec.url.substr(scheme.size()) : std::string();
  if (node.present() && (host.empty() || host.find_first_of("/?#@ ") != std::string::npos)) {
    node.finding(fmt::format("must be {}HOST[:PORT]{}", scheme,
                             plain ? "" : " (plainHTTP: true allows http://)"));
  }
  spec.registry = root["registry"].string(false, host);
}

void parse_lists(const YamlNode& root, HarborSpec& spec) {
  std::set<std::string> projects;
  for (const auto& item : root["projects"].list()) {
    spec.projects.push_back(parse_project(item));
    const auto& name = spec.projects.back().name;
    if (!projects.insert(name).second) item["name"].finding(name + " is listed twice");
  }
  std::set<std::string> robots;
  for (const auto& item : root["robots"].list()) {
    spec.robots.push_back(parse_robot(item));
    const auto& robot = spec.robots.back();
    if (!robots.insert(robot.key()).second) item["name"].finding(robot.key() + " is listed twice");
    if (!robot.project.empty() && !projects.contains(robot.project)) {
      const auto near = nearest(robot.project, {projects.begin(), projects.end()});
      item["project"].finding(fmt::format("{} is not under projects{}", robot.project,
                                          near ? "; did you mean " + *near + "?" : ""));
    }
  }
}

}  // namespace

Result<HarborSpec> parse_spec(std::string_view text, std::string_view file_name) {
  BP_TRY(const auto root, YamlNode::parse(text, file_name));
  HarborSpec spec;
  spec.file = file_name;
  root.expect_map({"kind", "name", "url", "plainHTTP", "ca", "admin", "registry", "projects",
                   "robots", "auth"});
  if (root.is_map()) {
    (void)root["kind"].choice({"Harbor"}, true);
    spec.name = root["name"].string();
    if (root["name"].present() && !is_dns_label(spec.name)) {
      root["name"].finding("must be lower-case letters, digits and hyphens");
    }
    parse_url(root, spec);
    spec.ca = root["ca"].string(false);
    const auto admin = root["admin"];
    if (admin.present()) {
      admin.expect_map({"user", "passwordFile", "passwordVariable"});
    } else {
      root.finding("must have admin: who applies it");
    }
    spec.user = admin["user"].string(false, "admin");
    if (admin["user"].present() &&
        (spec.user.empty() || spec.user.find(':') != std::string::npos)) {
      admin["user"].finding("must be a name without colons");
    }
    spec.password = parse_source(admin, "passwordFile", "passwordVariable", true);
    parse_lists(root, spec);
    if (root["auth"].present()) spec.auth = parse_auth(root["auth"]);
    if (spec.projects.empty() && spec.robots.empty() && !spec.auth) {
      root.finding("must list something under projects, robots or auth");
    }
  }
  BP_CHECK(report_findings(root.findings()));
  return spec;
}

}  // namespace bedplate::harbor

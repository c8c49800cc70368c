#include "airgap-bundle/harbor/plan.hpp"

#include <array>

#include <fmt/format.h>

#include "airgap-bundle/harbor/draft.hpp"
#include "core/digest.hpp"
#include "core/progress.hpp"

namespace bedplate::harbor {
namespace {

constexpr std::array<std::string_view, 15> kind_names = {
    "set-configuration", "create-project",   "update-project",   "set-quota",        "create-robot",
    "update-robot",      "refresh-robot",    "renew-robot",      "delete-robot",     "write-secret",
    "set-retention",     "create-immutable", "enable-immutable", "delete-immutable", "mark-rules"};

std::string storage_text(std::int64_t bytes) {
  return bytes < 0 ? "no limit" : format_bytes(static_cast<std::uint64_t>(bytes));
}

void plan_configuration(Draft& draft) {
  if (!draft.spec.auth) return;
  const auto& auth = *draft.spec.auth;
  Action action;
  action.kind = ActionKind::set_configuration;
  action.body = Json::object();
  std::string changes;
  for (const auto& [key, wanted] : auth.settings) {
    const auto found = draft.observed.config.find(key);
    const auto present = found == draft.observed.config.end() ? Json() : found->second.value;
    if (present == wanted) continue;
    if (found != draft.observed.config.end() && !found->second.editable) {
      if (key == "auth_mode") {
        draft.conflict(fmt::format("auth_mode is {} and can no longer become {}: Harbor refuses it "
                                   "once there are users",
                                   present.dump(), wanted.dump()),
                       "delete Harbor's users but admin (Administration, Users), then apply again; "
                       "or take auth_mode out of the document");
      } else {
        draft.conflict(
            fmt::format("{} is {} and cannot be changed to {}: Harbor takes its "
                        "configuration from its environment",
                        key, present.dump(), wanted.dump()),
            "change CONFIG_OVERWRITE_JSON of harbor-core, or take it out of the document");
      }
      continue;
    }
    action.body[key] = wanted;
    changes += fmt::format("{}{}={}", changes.empty() ? "" : ", ", key, wanted.dump());
  }
  action.client_secret = auth.client_secret.given() && !draft.observed.client_secret_given;
  if (action.client_secret) {
    changes += fmt::format("{}oidc_client_secret", changes.empty() ? "" : ", ");
  }
  if (changes.empty()) return;
  action.describe = "set " + changes;
  draft.actions.push_back(std::move(action));
}

Action new_project(const ProjectSpec& wanted) {
  Action action;
  action.kind = ActionKind::create_project;
  action.project = wanted.name;
  action.body = {{"project_name", wanted.name}, {"metadata", wanted.metadata}};
  if (wanted.storage) action.body["storage_limit"] = *wanted.storage;
  std::string text;
  for (const auto& [key, value] : wanted.metadata) text += fmt::format(", {}={}", key, value);
  if (wanted.storage) text += ", storage: " + storage_text(*wanted.storage);
  action.describe = fmt::format("create project {}{}", wanted.name, text);
  return action;
}

void plan_metadata(Draft& draft, const ProjectSpec& wanted, const ObservedProject& present) {
  Json changes = Json::object();
  std::string text;
  for (const auto& [key, value] : wanted.metadata) {
    const auto found = present.metadata.find(key);
    // What was never set is off.
    const auto now = found != present.metadata.end() ? found->second
                     : key == "severity"             ? std::string("none")
                                                     : std::string("false");
    if (now == value) continue;
    changes[key] = value;
    text += fmt::format("{}{}={} (now {})", text.empty() ? "" : ", ", key, value, now);
  }
  if (changes.empty()) return;
  Action action;
  action.kind = ActionKind::update_project;
  action.project = wanted.name;
  action.id = present.id;
  action.body = {{"metadata", std::move(changes)}};
  action.describe = fmt::format("change project {}: {}", wanted.name, text);
  draft.actions.push_back(std::move(action));
}

void plan_quota(Draft& draft, const ProjectSpec& wanted, const ObservedProject& present) {
  if (!wanted.storage) return;
  if (!present.quota) {
    draft.conflict(fmt::format("project {} has no quota that could be set", wanted.name),
                   "switch quotas on in Harbor (Administration, Project Quotas), or take `storage` "
                   "out of the document");
    return;
  }
  if (present.quota->storage == *wanted.storage) return;
  Action action;
  action.kind = ActionKind::set_quota;
  action.project = wanted.name;
  action.id = present.quota->id;
  action.body = {{"hard", {{"storage", *wanted.storage}}}};
  action.describe =
      fmt::format("set storage of project {}: {} (now {})", wanted.name,
                  storage_text(*wanted.storage), storage_text(present.quota->storage));
  draft.actions.push_back(std::move(action));
}

void plan_projects(Draft& draft) {
  const auto found = draft.observed.config.find("quota_per_project_enable");
  const bool no_quotas = found != draft.observed.config.end() && found->second.value == false;
  for (const auto& wanted : draft.spec.projects) {
    const auto present = draft.observed.projects.find(wanted.name);
    if (present == draft.observed.projects.end()) {
      if (no_quotas && wanted.storage) {
        draft.conflict(
            fmt::format("project {} is to have a quota, but Harbor keeps none", wanted.name),
            "set quota_per_project_enable in Harbor, or take `storage` out of the "
            "document");
        continue;
      }
      draft.actions.push_back(new_project(wanted));
      continue;
    }
    if (present->second.proxy) {
      draft.conflict(fmt::format("project {} is a cache of another registry: nothing can be pushed "
                                 "to it",
                                 wanted.name),
                     "choose another name, or delete the project in Harbor");
      continue;
    }
    plan_metadata(draft, wanted, present->second);
    plan_quota(draft, wanted, present->second);
  }
}

}  // namespace

std::string_view to_string(ActionKind kind) {
  return kind_names.at(static_cast<std::size_t>(kind));
}

std::string Plan::hash() const {
  return Digest::of(to_json(*this)["actions"].dump()).hex();
}

Result<Plan> make_plan(const HarborSpec& spec, const Observed& observed,
                       const PlanOptions& options) {
  Draft draft{spec, observed, options, {}, {}, {}};
  plan_configuration(draft);
  plan_projects(draft);
  plan_robots(draft);
  plan_rules(draft);
  if (!draft.conflicts.empty()) {
    return fail(ErrorKind::conflict,
                fmt::format("{} of what Harbor has stands against {}:\n  {}",
                            draft.conflicts.size(), spec.file, fmt::join(draft.conflicts, "\n  ")),
                draft.hint);
  }
  return Plan{std::move(draft.actions)};
}

Json to_json(const Plan& plan) {
  Json actions = Json::array();
  for (const auto& action : plan.actions) {
    Json entry = {{"kind", to_string(action.kind)}, {"describe", action.describe}};
    if (!action.project.empty()) entry["project"] = action.project;
    if (action.robot) entry["robot"] = action.robot->key();
    if (!action.robot_key.empty()) entry["robot"] = action.robot_key;
    if (action.id != 0) entry["id"] = action.id;
    if (!action.body.is_null()) entry["body"] = action.body;
    actions.push_back(std::move(entry));
  }
  return {{"actions", std::move(actions)}};
}

std::string to_text(const Plan& plan) {
  if (plan.actions.empty()) return "nothing to do: Harbor is as the document says\n";
  std::string out;
  for (std::size_t i = 0; i < plan.actions.size(); ++i) {
    out += fmt::format("{:3}. {}\n", i + 1, plan.actions[i].describe);
  }
  return out + fmt::format("hash {}\n", plan.hash());
}

}  // namespace bedplate::harbor

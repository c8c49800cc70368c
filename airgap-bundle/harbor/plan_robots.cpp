#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "airgap-bundle/harbor/draft.hpp"
#include "airgap-bundle/harbor/rules.hpp"

namespace bedplate::harbor {
namespace {

constexpr std::int64_t day = 86'400;

Json permissions_to_json(const std::vector<Permission>& permissions) {
  Json out = Json::array();
  for (const auto& permission : permissions) {
    Json access = Json::array();
    for (const auto& one : permission.access) {
      const auto colon = one.find(':');
      access.push_back({{"resource", one.substr(0, colon)}, {"action", one.substr(colon + 1)}});
    }
    out.push_back({{"kind", permission.kind},
                   {"namespace", permission.scope},
                   {"access", std::move(access)}});
  }
  return out;
}

std::string description_of(const HarborSpec& spec, const RobotSpec& robot) {
  const auto mark = robot_mark(spec.name);
  return robot.description.empty() ? mark : mark + " " + robot.description;
}

Json body_of(const HarborSpec& spec, const RobotSpec& robot) {
  return {{"name", robot.name},
          {"description", description_of(spec, robot)},
          {"level", robot.project.empty() ? "system" : "project"},
          {"duration", robot.duration},
          {"disable", false},
          {"permissions", permissions_to_json(robot.permissions)}};
}

std::string permissions_text(const std::vector<Permission>& permissions) {
  std::string out;
  for (const auto& one : permissions) {
    out += fmt::format("{}{} of {}", out.empty() ? "" : "; ", fmt::join(one.access, " "),
                       one.scope == "*"   ? "every project"
                       : one.scope == "/" ? "the system"
                                          : one.scope);
  }
  return out;
}

Action robot_action(ActionKind kind, const RobotSpec& wanted, std::int64_t id,
                    std::string describe) {
  Action action;
  action.kind = kind;
  action.robot = wanted;
  action.id = id;
  action.describe = std::move(describe);
  return action;
}

/// "what is different" between a robot of ours and what it should be; empty: nothing.
std::string difference(const HarborSpec& spec, const RobotSpec& wanted,
                       const ObservedRobot& present) {
  std::string out;
  const auto add = [&](std::string text) { out += (out.empty() ? "" : ", ") + std::move(text); };
  if (present.permissions != wanted.permissions) {
    add(fmt::format("may {} (now {})", permissions_text(wanted.permissions),
                    permissions_text(present.permissions)));
  }
  if (present.duration != wanted.duration) {
    add(fmt::format("duration {} days (now {})", wanted.duration, present.duration));
  }
  if (present.description != description_of(spec, wanted)) add("description");
  if (present.disabled) add("enabled (now disabled)");
  return out;
}

bool has_ended(const RobotSpec& wanted, const ObservedRobot& present, WallTime now) {
  if (wanted.duration < 0 || present.expires_at < 0) return false;
  return present.expires_at - wanted.renew_before * day <= now.time_since_epoch().count();
}

/// The secret of a robot that stays: in its file, or gone.
void plan_secret(Draft& draft, const RobotSpec& wanted, const ObservedRobot& present) {
  const auto held = draft.observed.secrets.find(wanted.key());
  const bool known = held != draft.observed.secrets.end() && held->second.robot == present.id &&
                     held->second.url == draft.spec.url;
  if (!known) {
    draft.actions.push_back(robot_action(
        ActionKind::refresh_robot, wanted, present.id,
        fmt::format("refresh the secret of robot {}, since {}.json does not have it: who still "
                    "uses the old one is locked out",
                    present.name, wanted.key())));
    return;
  }
  const auto text =
      manifest_text(draft.spec, wanted, present.name, present.id, held->second.secret);
  if (text == held->second.text && held->second.only_owner) return;
  draft.actions.push_back(robot_action(ActionKind::write_secret, wanted, present.id,
                                       fmt::format("write {}.json anew", wanted.key())));
}

/// Another document's secrets, which Harbor shows once, are not written over.
bool is_taken(Draft& draft, const RobotSpec& wanted) {
  const auto held = draft.observed.secrets.find(wanted.key());
  if (held == draft.observed.secrets.end() || held->second.url == draft.spec.url) return false;
  draft.conflict(fmt::format("{}.json holds the secret of a robot of another Harbor, {}",
                             wanted.key(), held->second.url),
                 "name a folder for this Harbor with --secrets; if it has moved, remove the file");
  return true;
}

void plan_robot(Draft& draft, const RobotSpec& wanted, const ObservedRobot* present) {
  if (is_taken(draft, wanted)) return;
  if (present == nullptr) {
    auto action =
        robot_action(ActionKind::create_robot, wanted, 0,
                     fmt::format("create robot {}, which may {}; its secret goes to {}.json",
                                 wanted.key(), permissions_text(wanted.permissions), wanted.key()));
    action.body = body_of(draft.spec, wanted);
    draft.actions.push_back(std::move(action));
    return;
  }
  if (!present->editable || !is_marked(present->description, draft.spec.name)) {
    draft.conflict(fmt::format("robot {} is there and was not made by '{}': its secret cannot be "
                               "had, and it is left alone",
                               present->name, draft.spec.name),
                   "give the robot of the document another name, or delete the one in Harbor");
    return;
  }
  if (has_ended(wanted, *present, draft.observed.now)) {
    auto action = robot_action(
        ActionKind::renew_robot, wanted, present->id,
        fmt::format("make robot {} anew, since its time is over; its secret goes to {}.json",
                    present->name, wanted.key()));
    action.body = body_of(draft.spec, wanted);
    draft.actions.push_back(std::move(action));
    return;
  }
  if (const auto changes = difference(draft.spec, wanted, *present); !changes.empty()) {
    auto action = robot_action(ActionKind::update_robot, wanted, present->id,
                               fmt::format("change robot {}: {}", present->name, changes));
    action.body = body_of(draft.spec, wanted);
    action.body["id"] = present->id;
    action.body["name"] = present->name;  // here Harbor wants its prefix
    draft.actions.push_back(std::move(action));
  }
  plan_secret(draft, wanted, *present);
}

void plan_surplus(Draft& draft, const std::vector<ObservedRobot>& robots) {
  for (const auto& robot : robots) {
    const bool wanted = std::ranges::any_of(
        draft.spec.robots, [&](const auto& one) { return one.key() == robot.key; });
    if (wanted || !robot.editable || !is_marked(robot.description, draft.spec.name)) continue;
    Action action;
    action.kind = ActionKind::delete_robot;
    action.id = robot.id;
    action.robot_key = robot.key;
    action.describe = fmt::format("delete robot {}, which '{}' made and no longer names",
                                  robot.name, draft.spec.name);
    draft.actions.push_back(std::move(action));
  }
}

}  // namespace

void plan_robots(Draft& draft) {
  std::map<std::string, const ObservedRobot*> present;
  for (const auto& robot : draft.observed.robots) present[robot.key] = &robot;
  for (const auto& [name, project] : draft.observed.projects) {
    for (const auto& robot : project.robots) present[robot.key] = &robot;
  }
  for (const auto& wanted : draft.spec.robots) {
    const auto found = present.find(wanted.key());
    plan_robot(draft, wanted, found == present.end() ? nullptr : found->second);
  }
  plan_surplus(draft, draft.observed.robots);
  for (const auto& [name, project] : draft.observed.projects) plan_surplus(draft, project.robots);
}

}  // namespace bedplate::harbor

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "airgap-bundle/harbor/observe.hpp"
#include "airgap-bundle/harbor/spec.hpp"
#include "core/json.hpp"
#include "core/result.hpp"

namespace bedplate::harbor {

enum class ActionKind {
  set_configuration,
  create_project,
  update_project,
  set_quota,
  create_robot,
  update_robot,
  refresh_robot,  ///< a new secret for the same robot
  renew_robot,    ///< deleted and made anew, since its end cannot be moved
  delete_robot,
  write_secret,  ///< the file alone
  set_retention,
  create_immutable,
  enable_immutable,
  delete_immutable,
  mark_rules,  ///< the label that says which rules are ours
};
std::string_view to_string(ActionKind kind);

/// One request that changes something, or one file. Holds no secret, so that it may be shown.
struct Action {
  ActionKind kind = ActionKind::set_configuration;
  std::string describe;  ///< one line for people
  std::string project;   ///< whose id is needed and may not be known before
  std::int64_t id = 0;   ///< of what is changed; 0: it is made
  Json body;             ///< as Harbor takes it, without what is only known at commit
  std::optional<RobotSpec> robot;
  std::string robot_key;       ///< of a robot that is deleted
  bool client_secret = false;  ///< the configuration goes with the OIDC client's secret
};

struct PlanOptions {
  /// Immutable tags refuse even the same image again: leave rules out until all is pushed.
  bool before_push = false;
};

/// desired − observed, in the order of doing: configuration, projects, quotas, robots, retention,
/// immutability.
struct Plan {
  std::vector<Action> actions;
  /// SHA-256 (hex) of what will be done: what `--plan` approves.
  std::string hash() const;
};

/// Pure: the same input gives the same plan. Everything that stands against the document is one
/// Error of kind conflict with all of it: a robot of the same name that is not ours, an auth mode
/// that can no longer be changed, a quota where Harbor keeps none, …
Result<Plan> make_plan(const HarborSpec& spec, const Observed& observed,
                       const PlanOptions& options = {});

Json to_json(const Plan& plan);
/// A line for each action, and the hash.
std::string to_text(const Plan& plan);

}  // namespace bedplate::harbor

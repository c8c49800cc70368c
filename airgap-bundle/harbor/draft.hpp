#pragma once

#include <string>
#include <vector>

#include "airgap-bundle/harbor/plan.hpp"

namespace bedplate::harbor {

/// What a plan is put together in.
struct Draft {
  const HarborSpec& spec;
  const Observed& observed;
  PlanOptions options;
  std::vector<Action> actions;
  std::vector<std::string> conflicts;
  std::string hint;  ///< of the first conflict

  void conflict(std::string what, std::string_view what_to_do) {
    if (conflicts.empty()) hint = what_to_do;
    conflicts.push_back(std::move(what));
  }
};

/// Retention of every project; then, after all of it, immutability, which comes last.
void plan_rules(Draft& draft);

void plan_robots(Draft& draft);

}  // namespace bedplate::harbor

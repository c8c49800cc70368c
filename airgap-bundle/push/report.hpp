#pragma once

#include <string>

#include "airgap-bundle/push/push.hpp"
#include "core/json.hpp"

namespace bedplate::push {

/// What a dry run says: each item's state and what would be sent.
Json plan_json(const Plan& plan, const Target& target);
std::string plan_text(const Plan& plan, const Target& target);

/// What became of each item.
Json report_json(const Outcome& outcome, const Target& target);
std::string report_text(const Outcome& outcome, const Target& target);

}  // namespace bedplate::push

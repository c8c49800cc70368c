#pragma once

#include <set>
#include <string>
#include <string_view>

#include "airgap-bundle/harbor/spec.hpp"
#include "core/json.hpp"

namespace bedplate::harbor {

/// In the form of Harbor's API, enabled.
Json to_json(const RetentionRule& rule);
Json immutable_to_json(const RuleScope& scope);

/// What makes two rules the same, wherever they came from and whether or not they are switched on:
/// 16 hex digits of the digest of what they keep. Harbor's rules have no name of their own.
std::string identity_of(const Json& rule);

/// Robots say in their description whose they are.
std::string robot_mark(std::string_view document);
bool is_marked(std::string_view description, std::string_view document);

/// Rules have no text to mark. A label of the project holds the identities of those that the
/// document made; without the label none counts as made by it.
std::string label_name(std::string_view document);
std::string label_text(std::string_view document, const std::set<std::string>& identities);
std::set<std::string> identities_in(std::string_view label_text);

}  // namespace bedplate::harbor

#include "airgap-bundle/harbor/rules.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "core/digest.hpp"

namespace bedplate::harbor {
namespace {

constexpr std::string_view list_begins = "Rules:";
constexpr std::size_t identity_length = 16;

Json selector(std::string_view decoration, std::string_view pattern) {
  return {{"kind", "doublestar"}, {"decoration", decoration}, {"pattern", pattern}};
}

Json repositories_of(const RuleScope& scope) {
  return {{"repository",
           Json::array({selector(scope.except_repositories ? "repoExcludes" : "repoMatches",
                                 scope.repositories)})}};
}

Json tags_of(const RuleScope& scope) {
  return selector(scope.except_tags ? "excludes" : "matches", scope.tags);
}

/// `extras` is JSON in a string. Without it Harbor takes untagged artifacts along where tags are
/// named, and leaves them where tags are excepted.
bool takes_untagged(const Json& selector) {
  const auto extras = parse_json(json_string_or(selector, "extras", ""), "extras");
  if (!extras || !extras->is_object())
    return json_string_or(selector, "decoration", "") != "excludes";
  const auto found = extras->find("untagged");
  return found != extras->end() && found->is_boolean() && found->get<bool>();
}

Json canonical_selectors(const Json& selectors, bool with_untagged) {
  std::vector<Json> out;
  for (const auto& one : selectors.is_array() ? selectors : Json::array()) {
    if (!one.is_object()) continue;
    Json entry = {json_string_or(one, "kind", ""), json_string_or(one, "decoration", ""),
                  json_string_or(one, "pattern", "")};
    if (with_untagged) entry.push_back(takes_untagged(one));
    out.push_back(std::move(entry));
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace

Json to_json(const RetentionRule& rule) {
  auto tags = tags_of(rule.scope);
  tags["extras"] = Json{{"untagged", rule.untagged}}.dump();
  Json params = Json::object();
  if (rule.keep != "always") params[rule.keep] = rule.count;
  return {{"disabled", false},
          {"action", "retain"},
          {"template", rule.keep},
          {"params", std::move(params)},
          {"tag_selectors", Json::array({std::move(tags)})},
          {"scope_selectors", repositories_of(rule.scope)}};
}

Json immutable_to_json(const RuleScope& scope) {
  return {{"disabled", false},
          {"action", "immutable"},
          {"template", "immutable_template"},
          {"tag_selectors", Json::array({tags_of(scope)})},
          {"scope_selectors", repositories_of(scope)}};
}

std::string identity_of(const Json& rule) {
  const auto action = json_string_or(rule, "action", "");
  const bool retains = action == "retain";
  Json out = {{"action", action}, {"scope", Json::object()}};
  if (retains) {
    out["template"] = json_string_or(rule, "template", "");
    const auto params = rule.find("params");
    out["params"] = params == rule.end() || !params->is_object() ? Json::object() : *params;
  }
  const auto tags = rule.find("tag_selectors");
  out["tags"] = canonical_selectors(tags == rule.end() ? Json() : *tags, retains);
  const auto scopes = rule.find("scope_selectors");
  if (scopes != rule.end() && scopes->is_object()) {
    for (const auto& [kind, selectors] : scopes->items()) {
      out["scope"][kind] = canonical_selectors(selectors, false);
    }
  }
  return Digest::of(out.dump()).hex().substr(0, identity_length);
}

std::string robot_mark(std::string_view document) {
  return fmt::format("[bedplate:{}]", document);
}

bool is_marked(std::string_view description, std::string_view document) {
  return description.starts_with(robot_mark(document));
}

std::string label_name(std::string_view document) {
  return fmt::format("bedplate-{}", document);
}

std::string label_text(std::string_view document, const std::set<std::string>& identities) {
  auto out =
      fmt::format("Which rules of this project bedplate made for '{}'. {}", document, list_begins);
  for (const auto& identity : identities) out += " " + identity;
  return out;
}

std::set<std::string> identities_in(std::string_view label_text) {
  std::set<std::string> out;
  const auto begin = label_text.rfind(list_begins);
  if (begin == std::string_view::npos) return out;
  std::string word;
  for (const char c : std::string(label_text.substr(begin + list_begins.size())) + " ") {
    if (c != ' ') {
      word += c;
      continue;
    }
    if (word.size() == identity_length) out.insert(word);
    word.clear();
  }
  return out;
}

}  // namespace bedplate::harbor

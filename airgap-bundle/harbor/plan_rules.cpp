#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "airgap-bundle/harbor/draft.hpp"
#include "airgap-bundle/harbor/rules.hpp"

namespace bedplate::harbor {
namespace {

using Identities = std::set<std::string>;

constexpr std::size_t most_rules = 15;

/// What a project's rules are to be, what they are, and which of them are ours.
class ProjectRules {
 public:
  ProjectRules(Draft& draft, const ProjectSpec& wanted)
      : draft_(draft), wanted_(wanted), present_(find(draft, wanted.name)) {
    if (present_ != nullptr && present_->label) ours_ = identities_in(present_->label->text);
    Identities declared;
    if (wanted.retention) {
      for (const auto& rule : wanted.retention->rules) {
        auto body = to_json(rule);
        auto identity = identity_of(body);
        if (declared.insert(identity).second) retention_.push_back({0, identity, false, body});
      }
    }
    for (const auto& scope : wanted.immutable) {
      auto body = immutable_to_json(scope);
      auto identity = identity_of(body);
      if (declared.insert(identity).second) immutable_.push_back({0, identity, false, body});
    }
    declared_ = std::move(declared);
  }

  /// Rules that are about to be made are marked before they are: an interruption in between leaves
  /// a mark without a rule, which harms nobody, not a rule that nobody owns up to.
  void mark_what_comes() {
    for (const auto& rule : to_create()) coming_.insert(rule->identity);
    auto all = ours_;
    all.insert(coming_.begin(), coming_.end());
    mark(all);
  }
  void plan_retention();
  void plan_immutable();
  void mark_what_is() {
    Identities all = coming_;
    for (const auto& identity : ours_) {
      if (declared_.contains(identity)) all.insert(identity);
    }
    mark(all);
  }

 private:
  static const ObservedProject* find(const Draft& draft, const std::string& name) {
    const auto found = draft.observed.projects.find(name);
    return found == draft.observed.projects.end() ? nullptr : &found->second;
  }
  const std::vector<ObservedRule>& present_retention() const {
    static const std::vector<ObservedRule> none;
    return present_ != nullptr && present_->retention ? present_->retention->rules : none;
  }
  const std::vector<ObservedRule>& present_immutable() const {
    static const std::vector<ObservedRule> none;
    return present_ != nullptr ? present_->immutable : none;
  }
  static bool has(const std::vector<ObservedRule>& rules, const std::string& identity) {
    return std::ranges::any_of(rules, [&](const auto& one) { return one.identity == identity; });
  }
  std::vector<const ObservedRule*> to_create() const {
    std::vector<const ObservedRule*> out;
    for (const auto& rule : retention_) {
      if (!has(present_retention(), rule.identity)) out.push_back(&rule);
    }
    for (const auto& rule : immutable_) {
      if (draft_.options.before_push || has(present_immutable(), rule.identity)) continue;
      out.push_back(&rule);
    }
    return out;
  }
  bool is_surplus(const ObservedRule& rule) const {
    return ours_.contains(rule.identity) && !declared_.contains(rule.identity);
  }
  Action action(ActionKind kind, std::int64_t id, Json body, std::string describe) const {
    Action out;
    out.kind = kind;
    out.project = wanted_.name;
    out.id = id;
    out.body = std::move(body);
    out.describe = std::move(describe);
    return out;
  }
  void mark(const Identities& identities) {
    const auto text = label_text(draft_.spec.name, identities);
    if (marked_.empty() && present_ != nullptr && present_->label) marked_ = present_->label->text;
    if (text == marked_ || (marked_.empty() && identities.empty())) return;
    const auto id = present_ != nullptr && present_->label ? present_->label->id : 0;
    draft_.actions.push_back(
        action(ActionKind::mark_rules, id,
               {{"name", label_name(draft_.spec.name)}, {"description", text}, {"scope", "p"}},
               fmt::format("note in label {} of project {} which rules are ours: {}",
                           label_name(draft_.spec.name), wanted_.name, identities.size())));
    marked_ = text;
  }

  Draft& draft_;
  const ProjectSpec& wanted_;
  const ObservedProject* present_;
  std::vector<ObservedRule> retention_;
  std::vector<ObservedRule> immutable_;
  Identities declared_;
  Identities ours_;
  Identities coming_;
  std::string marked_;
};

Json without_nulls(const Json& rule) {
  Json out = Json::object();
  for (const auto& [key, value] : rule.items()) {
    if (!value.is_null()) out[key] = value;
  }
  return out;
}

void ProjectRules::plan_retention() {
  Json rules = Json::array();
  std::size_t made = 0;
  std::size_t removed = 0;
  std::size_t enabled = 0;
  for (const auto& rule : present_retention()) {
    if (is_surplus(rule)) {
      ++removed;
      continue;
    }
    rules.push_back(without_nulls(rule.body));
    if (!rule.disabled || !declared_.contains(rule.identity)) continue;
    rules.back()["disabled"] = false;
    ++enabled;
  }
  for (const auto& rule : retention_) {
    if (has(present_retention(), rule.identity)) continue;
    rules.push_back(rule.body);
    ++made;
  }
  const auto& policy = present_ != nullptr ? present_->retention : std::nullopt;
  const auto now = policy ? policy->schedule : std::string();
  const auto schedule = wanted_.retention ? wanted_.retention->schedule.value_or(now) : now;
  if (made + removed + enabled == 0 && schedule == now) return;
  if (rules.size() > most_rules) {
    draft_.conflict(fmt::format("project {} would have {} retention rules with those that are not "
                                "ours; Harbor takes {}",
                                wanted_.name, rules.size(), most_rules),
                    "delete some of the rules in Harbor");
    return;
  }
  const auto total = rules.size();
  draft_.actions.push_back(action(
      ActionKind::set_retention, policy ? policy->id : 0,
      {{"algorithm", "or"},
       {"rules", std::move(rules)},
       {"trigger", {{"kind", "Schedule"}, {"settings", {{"cron", schedule}}}}},
       {"scope", {{"level", "project"}, {"ref", present_ != nullptr ? present_->id : 0}}}},
      fmt::format("set retention of project {}: {} rules ({} new, {} enabled, {} of ours removed), "
                  "schedule '{}'",
                  wanted_.name, total, made, enabled, removed, schedule)));
}

/// Of a body of our own making: one selector for tags, one for repositories.
std::string scope_text(const Json& rule) {
  const auto text = [](const Json& selector, std::string_view except) {
    const auto pattern = json_string_or(selector, "pattern", "");
    return json_string_or(selector, "decoration", "") == except ? "all but " + pattern : pattern;
  };
  return fmt::format("tags {} in repositories {}", text(rule["tag_selectors"][0], "excludes"),
                     text(rule["scope_selectors"]["repository"][0], "repoExcludes"));
}

void ProjectRules::plan_immutable() {
  for (const auto& rule : immutable_) {
    const auto& all = present_immutable();
    const auto same = [&](const auto& one) { return one.identity == rule.identity; };
    const auto found = std::ranges::find_if(all, same);
    if (draft_.options.before_push) continue;
    if (found == all.end()) {
      draft_.actions.push_back(action(
          ActionKind::create_immutable, 0, rule.body,
          fmt::format("make immutable in project {}: {}", wanted_.name, scope_text(rule.body))));
    } else if (found->disabled) {
      auto body = rule.body;
      body["id"] = found->id;
      draft_.actions.push_back(action(
          ActionKind::enable_immutable, found->id, std::move(body),
          fmt::format("enable immutability rule {} of project {}", found->id, wanted_.name)));
    }
  }
  for (const auto& rule : present_immutable()) {
    if (!is_surplus(rule)) continue;
    draft_.actions.push_back(
        action(ActionKind::delete_immutable, rule.id, Json(),
               fmt::format(
                   "delete immutability rule {} of project {}, which '{}' made and no longer names",
                   rule.id, wanted_.name, draft_.spec.name)));
  }
}

}  // namespace

void plan_rules(Draft& draft) {
  std::vector<ProjectRules> all;
  for (const auto& project : draft.spec.projects) {
    all.emplace_back(draft, project);
    all.back().mark_what_comes();
    all.back().plan_retention();
  }
  for (auto& rules : all) {
    rules.plan_immutable();
    rules.mark_what_is();
  }
}

}  // namespace bedplate::harbor

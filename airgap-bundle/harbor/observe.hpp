#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "airgap-bundle/harbor/api.hpp"
#include "airgap-bundle/harbor/secrets.hpp"
#include "airgap-bundle/harbor/spec.hpp"
#include "core/clock.hpp"

namespace bedplate::harbor {

struct ConfigItem {
  Json value;
  bool editable = true;
};

struct ObservedRobot {
  std::int64_t id = 0;
  std::string name;  ///< with Harbor's prefix
  std::string key;   ///< RobotSpec::key()
  std::string description;
  bool disabled = false;
  bool editable = true;  ///< not one of Harbor's first kind
  std::int64_t duration = -1;
  std::int64_t expires_at = -1;         ///< seconds since 1970, -1: never
  std::vector<Permission> permissions;  ///< sorted
};

struct ObservedRule {
  std::int64_t id = 0;  ///< immutability rules only
  std::string identity;
  bool disabled = false;
  Json body;
};

struct ObservedPolicy {
  std::int64_t id = 0;
  std::string schedule;
  std::vector<ObservedRule> rules;
};

struct ObservedQuota {
  std::int64_t id = 0;
  std::int64_t storage = -1;
};

struct ObservedLabel {
  std::int64_t id = 0;
  std::string text;
};

struct ObservedProject {
  std::int64_t id = 0;
  std::map<std::string, std::string> metadata;
  bool proxy = false;  ///< a cache of another registry
  std::optional<ObservedQuota> quota;
  std::optional<ObservedPolicy> retention;
  std::vector<ObservedRule> immutable;
  std::optional<ObservedLabel> label;
  std::vector<ObservedRobot> robots;
};

/// What there is, as far as a document is about it.
struct Observed {
  std::map<std::string, ConfigItem> config;
  std::map<std::string, ObservedProject> projects;  ///< those of the document that exist
  std::vector<ObservedRobot> robots;                ///< of the whole system
  std::map<std::string, HeldSecret> secrets;        ///< files, by RobotSpec::key()
  bool client_secret_given = false;
  WallTime now{};

  std::string robot_prefix() const;
};

/// Asks Harbor and the folder; changes nothing. `client_secret` may be empty.
Result<Observed> observe(Api& api, const HarborSpec& spec, const SecretFolder& folder,
                         const std::string& client_secret, WallTime now);

/// For SecretFolder::remember: whose secret it is.
std::string client_secret_owner(const HarborSpec& spec);

}  // namespace bedplate::harbor

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "core/result.hpp"

namespace bedplate::harbor {

/// Which repositories and tags of a project a rule is about (doublestar patterns).
struct RuleScope {
  std::string repositories = "**";
  bool except_repositories = false;  ///< all but those
  std::string tags = "**";
  bool except_tags = false;
};

/// One rule of a retention policy: what matches any of them is kept.
struct RetentionRule {
  std::string keep;        ///< Harbor's template: latestPushedK, nDaysSinceLastPull, always, …
  std::int64_t count = 0;  ///< of artifacts or days, by the template; 0 with `always`
  bool untagged = true;    ///< artifacts without a tag match too
  RuleScope scope;
};

struct RetentionSpec {
  /// Cron with seconds ("0 0 2 * * *"); empty: only by hand; none: as it is.
  std::optional<std::string> schedule;
  std::vector<RetentionRule> rules;
};

struct ProjectSpec {
  std::string name;
  /// Harbor's own keys (public, auto_scan, …); values are strings, as in its API.
  std::map<std::string, std::string> metadata;
  std::optional<std::int64_t> storage;  ///< bytes, -1 without limit; none: not ours to say
  std::optional<RetentionSpec> retention;
  std::vector<RuleScope> immutable;
  int line = 0;
};

/// What a robot may do in one place.
struct Permission {
  std::string kind;                 ///< project or system
  std::string scope;                ///< project's name, * for every project, / for system
  std::vector<std::string> access;  ///< "resource:action", sorted
  friend auto operator<=>(const Permission&, const Permission&) = default;
};

struct RobotSpec {
  std::string name;     ///< without Harbor's prefix
  std::string project;  ///< empty: a robot of the whole system
  std::string description;
  std::int64_t duration = -1;     ///< days, -1 for ever
  std::int64_t renew_before = 0;  ///< days before its end at which it is made anew
  std::vector<Permission> permissions;
  std::string secret_name;  ///< of the Kubernetes Secret
  std::vector<std::string> namespaces;

  /// "pull", or "project+pull": Harbor's name without the prefix, and the name of its file.
  std::string key() const { return project.empty() ? name : project + "+" + name; }
};

/// Where a secret of the document's writer comes from. Never from a command line.
struct SecretSource {
  std::string file;      ///< relative to the document
  std::string variable;  ///< name of an environment variable
  bool given() const { return !file.empty() || !variable.empty(); }
};

/// How Harbor knows people (its `auth_mode` and `oidc_…`), by Harbor's own names.
struct AuthSpec {
  std::map<std::string, Json> settings;  ///< without the secret
  SecretSource client_secret;
};

/// `kind: Harbor`: what a Harbor is to be like.
struct HarborSpec {
  std::string file;
  std::string name;  ///< whose marks are on what it makes
  std::string url;   ///< scheme, host and port; no path
  std::string ca;    ///< PEM file, relative to the document; empty: the system's authorities
  std::string user;
  SecretSource password;
  std::string registry;  ///< host[:port] that pods pull from
  std::vector<ProjectSpec> projects;
  std::vector<RobotSpec> robots;
  std::optional<AuthSpec> auth;
};

/// ErrorKind::invalid lists every finding with file, line and field.
Result<HarborSpec> parse_spec(std::string_view text, std::string_view file_name);

}  // namespace bedplate::harbor

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/result.hpp"
#include "core/site.hpp"
#include "installer/probe/host.hpp"

namespace bedplate::installer {

/// What the medium's system.json says.
struct SystemFacts {
  std::string version;
  std::string root_hash;
  std::uint64_t hash_offset = 0;  ///< bytes
  std::uint64_t size = 0;         ///< bytes
  std::string sha256;             ///< 64 hex digits, of the whole file
  std::string kernel_version;
};
Result<SystemFacts> system_facts_from_json(const nlohmann::json& json);

/// What the medium's bundle header says.
struct BundleFacts {
  std::string name;
  std::string version;
  std::uint64_t size = 0;  ///< bytes of the whole file
};

struct PlannedPartition {
  int number = 0;
  std::string label;
  std::string type;  ///< GPT type GUID, lower case
  std::string uuid;  ///< lower case; the same for the same site, node, disk and label
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::string purpose;
  friend bool operator==(const PlannedPartition&, const PlannedPartition&) = default;
};

struct PlanStep {
  std::string id;
  std::string text;  ///< one line for people
};

/// Everything an installation will do to one machine. Pure data: the same input gives the same
/// plan.
struct Plan {
  std::string site_id;
  std::string site_name;
  std::string node;
  std::string role;
  std::string disk_name;  ///< kernel name; not part of the hash
  std::string disk_node;
  std::string disk_summary;
  std::string disk_serial;
  std::uint64_t disk_size = 0;
  std::uint64_t sector = 512;
  std::string table_uuid;
  std::vector<PlannedPartition> partitions;
  std::vector<std::string> destroyed;  ///< what is on the disk and will be lost; approved by `wipe`
  bool continues = false;  ///< an unfinished installation of ours is taken up; not part of the hash
  bool uefi = false;
  SystemFacts system;
  BundleFacts bundle;
  std::vector<std::string> budget;  ///< lines for people
  std::vector<PlanStep> steps;

  const PlannedPartition* find(std::string_view label) const;
  /// SHA-256 (hex) of the canonical JSON: what `--plan-hash` approves.
  std::string hash() const;
};

/// desired − probed. Errors: not_found (this host or no disk fits), ambiguous (two site entries or
/// two disks fit), conflict (the disk has data on it, or is in use), untrusted (no key).
Result<Plan> make_plan(const Site& site, const ProbedHost& host, const SystemFacts& system,
                       const BundleFacts& bundle);

/// The site's entry for this host. not_found and ambiguous say what was seen and what the site has.
Result<const SiteNode*> find_this_node(const Site& site, const ProbedHost& host);

nlohmann::json to_json(const Plan& plan);
/// The plan as a page for people, hash last.
std::string to_text(const Plan& plan);

}  // namespace bedplate::installer

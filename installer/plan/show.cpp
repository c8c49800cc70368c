// A plan as JSON and as text.

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/json.hpp"
#include "core/progress.hpp"
#include "installer/plan/plan.hpp"

namespace bedplate::installer {

Json to_json(const Plan& plan) {
  Json partitions = Json::array();
  for (const auto& part : plan.partitions) {
    partitions.push_back({{"number", part.number},
                          {"label", part.label},
                          {"type", part.type},
                          {"uuid", part.uuid},
                          {"start", part.start},
                          {"size", part.size}});
  }
  Json steps = Json::array();
  for (const auto& step : plan.steps) steps.push_back(step.id);
  return {
      {"kind", "InstallPlan"},
      {"siteId", plan.site_id},
      {"site", plan.site_name},
      {"node", plan.node},
      {"role", plan.role},
      {"disk",
       {{"identity", plan.disk_serial},
        {"size", plan.disk_size},
        {"sector", plan.sector},
        {"tableUuid", plan.table_uuid}}},
      {"destroyed", plan.destroyed},
      {"partitions", partitions},
      {"uefi", plan.uefi},
      {"system",
       {{"version", plan.system.version},
        {"rootHash", plan.system.root_hash},
        {"sha256", plan.system.sha256},
        {"size", plan.system.size}}},
      {"bundle",
       {{"name", plan.bundle.name}, {"version", plan.bundle.version}, {"size", plan.bundle.size}}},
      {"steps", steps}};
}

std::string Plan::hash() const {
  // Keys are sorted and nothing is indented: one value, one text.
  return Digest::of(dump_text(to_json(*this))).hex();
}

std::string to_text(const Plan& plan) {
  auto out = fmt::format("Plan for node '{}' ({}) of site '{}' ({})\n  disk {}\n", plan.node,
                         plan.role, plan.site_name, plan.site_id, plan.disk_summary);
  if (plan.continues) out += "  continues an installation of this node that did not finish\n";
  if (plan.destroyed.empty()) {
    if (!plan.continues) out += "  the disk is empty\n";
  } else {
    out += "  WILL BE DESTROYED (wipe: true in the site file):\n";
    for (const auto& line : plan.destroyed) out += "    " + line + "\n";
  }
  out +=
      fmt::format("  partition table GPT {}, sectors of {} bytes\n", plan.table_uuid, plan.sector);
  for (const auto& part : plan.partitions) {
    out += fmt::format("    {} {:<12} {:>10}  at {:>10}  {}  {}\n", part.number, part.label,
                       format_bytes(part.size), format_bytes(part.start), part.uuid, part.purpose);
  }
  out += "  space\n";
  for (const auto& line : plan.budget) out += "    " + line + "\n";
  out += fmt::format("  firmware {}\n  steps\n", plan.uefi ? "UEFI" : "BIOS");
  for (const auto& step : plan.steps) {
    out += fmt::format("    {:<14} {}\n", step.id, step.text);
  }
  return out + fmt::format("  hash {}\n", plan.hash());
}

}  // namespace bedplate::installer

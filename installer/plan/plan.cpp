#include "installer/plan/plan.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/hardware.hpp"
#include "core/json.hpp"
#include "core/progress.hpp"
#include "installer/plan/choose.hpp"
#include "installer/plan/layout.hpp"

namespace bedplate::installer {
namespace {

std::string seen_text(const ProbedHost& host) {
  const auto or_none = [](const std::string& text) { return text.empty() ? "none" : text; };
  return fmt::format(
      "\n  this machine: macs {}\n                serial {}\n                uuid {}",
      host.macs.empty() ? "none" : fmt::format("{}", fmt::join(host.macs, ", ")),
      or_none(host.serial), or_none(host.uuid));
}

std::string nodes_text(const std::vector<const SiteNode*>& nodes) {
  std::string out;
  for (const auto* node : nodes) {
    out += fmt::format("\n  site file:    {}: {}", node->name, match_text(node->match));
  }
  return out;
}

/// What a disk is called in the seeds of GUIDs: a name that stays when cables change.
std::string disk_identity(const ProbedDisk& disk) {
  if (!disk.serial.empty()) return disk.serial;
  if (!disk.wwn.empty()) return disk.wwn;
  return fmt::format("{}/{}", disk.model, disk.size);
}

/// True when the table on the disk is exactly the one we plan: an installation of this very node
/// that did not finish.
bool is_own_unfinished(const ProbedDisk& disk, const Plan& plan) {
  if (!disk.marker_site.empty() || disk.table_uuid != plan.table_uuid) return false;
  return std::ranges::equal(disk.partitions, plan.partitions,
                            [](const ProbedPartition& have, const PlannedPartition& want) {
                              return have.number == want.number && have.label == want.label &&
                                     have.uuid == want.uuid && have.type == want.type &&
                                     have.start == want.start && have.size == want.size;
                            });
}

Result<void> refuse_data(const SiteNode& node, const ProbedDisk& disk) {
  return fail(
      ErrorKind::conflict,
      fmt::format("the disk for node '{}' is not empty; nothing was changed\n  {}\n    {}",
                  node.name, disk.summary(), fmt::join(disk.contents(), "\n    ")),
      fmt::format("if all of this may be destroyed, set wipe: true in nodes[{}].disk of the site "
                  "file and make the medium again with: bedplate image iso",
                  node.name));
}

/// Decides what may happen to what is on the disk.
Result<void> settle_contents(const SiteNode& node, const ProbedDisk& disk, Plan& plan) {
  if (!disk.mounts.empty()) {
    return fail(ErrorKind::conflict,
                fmt::format("{} is in use: mounted at {}", disk.node, fmt::join(disk.mounts, ", ")),
                "unmount it, or choose another disk in the site file");
  }
  if (disk.empty() && disk.holders.empty()) return {};
  if (is_own_unfinished(disk, plan)) {
    plan.continues = true;
    return {};
  }
  if (!node.disk.wipe) return refuse_data(node, disk);
  plan.destroyed = disk.contents();
  for (const auto& holder : disk.holders) {
    plan.destroyed.push_back("in use by the active device " + holder + ", which will be stopped");
  }
  return {};
}

std::vector<std::string> budget_of(const Plan& plan) {
  const auto* state = plan.find("BP-STATE");
  const auto* data = plan.find("BP-DATA");
  const auto free = state->size - std::min(state->size, 2 * plan.bundle.size);
  return {
      fmt::format("system image {} in a slot of 2.0 GiB", format_bytes(plan.system.size)),
      fmt::format("STATE {}: bundle {}, its images unpacked about as much, {} left for logs and "
                  "pods",
                  format_bytes(state->size), format_bytes(plan.bundle.size), format_bytes(free)),
      data == nullptr ? "DATA: none, the disk is too small for a volume group of its own"
                      : fmt::format("DATA {} for persistent volumes", format_bytes(data->size))};
}

std::vector<PlanStep> steps_of(const Plan& plan) {
  std::vector<PlanStep> out = {
      {"verify-bundle",
       fmt::format("check bundle {} {} ({}): signature and every blob", plan.bundle.name,
                   plan.bundle.version, format_bytes(plan.bundle.size))},
      {"verify-system", fmt::format("check system image {} ({})", plan.system.version,
                                    format_bytes(plan.system.size))},
      {"partition",
       fmt::format("{}write a new partition table to {}",
                   plan.destroyed.empty() ? "" : "erase what is on the disk, ", plan.disk_node)},
      {"esp", "make the EFI system partition: boot loader, kernel, initrd"},
      {"bios-loader", "write the boot loader for BIOS"},
      {"write-system", "write the system image to slot A and read it back"},
      {"format-state", "make the ext4 file system of STATE"}};
  if (plan.find("BP-DATA") != nullptr) {
    out.push_back({"data", "make the LVM volume group bedplate-data"});
  }
  out.push_back({"state", "copy the bundle, the site file and this node's secrets to STATE"});
  out.push_back({"nvram", fmt::format("enter \"Bedplate {}\" into the firmware's boot menu",
                                      plan.site_name)});
  out.push_back({"marker", "mark the disk as installed"});
  return out;
}

}  // namespace

const PlannedPartition* Plan::find(std::string_view label) const {
  const auto found = std::ranges::find(partitions, label, &PlannedPartition::label);
  return found == partitions.end() ? nullptr : &*found;
}

Result<SystemFacts> system_facts_from_json(const Json& json) {
  SystemFacts facts;
  BP_TRY(facts.version, json_string(json, "version"));
  BP_TRY(facts.root_hash, json_string(json, "rootHash"));
  BP_TRY(facts.hash_offset, json_uint(json, "hashOffset"));
  BP_TRY(facts.size, json_uint(json, "size"));
  BP_TRY(facts.sha256, json_string(json, "sha256"));
  if (facts.sha256.starts_with("sha256:")) facts.sha256.erase(0, 7);
  facts.kernel_version = json_string_or(json, "kernelVersion", "");
  return facts;
}

Result<const SiteNode*> find_this_node(const Site& site, const ProbedHost& host) {
  std::vector<const SiteNode*> found;
  std::vector<const SiteNode*> all;
  for (const auto& node : site.nodes) {
    all.push_back(&node);
    if (matches(node.match, {host.macs, host.serial, host.uuid})) found.push_back(&node);
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return fail(ErrorKind::not_found,
                fmt::format("this machine is not in the site file of '{}'{}{}", site.name,
                            seen_text(host), nodes_text(all)),
                "put one of this machine's values under nodes[].match of the site file and make "
                "the medium again with: bedplate image iso");
  }
  return fail(ErrorKind::ambiguous,
              fmt::format("this machine matches {} nodes of site '{}'{}{}", found.size(), site.name,
                          seen_text(host), nodes_text(found)),
              "make each nodes[].match of the site file fit one machine only");
}

Result<Plan> make_plan(const Site& site, const ProbedHost& host, const SystemFacts& system,
                       const BundleFacts& bundle) {
  BP_TRY(const auto* node, find_this_node(site, host));
  BP_TRY(const auto* disk, choose_disk(*node, host, minimum_disk(bundle.size)));
  Plan plan;
  plan.site_id = site.id();
  plan.site_name = site.name;
  plan.node = node->name;
  plan.role = to_string(node->role);
  plan.disk_name = disk->name;
  plan.disk_node = disk->node;
  plan.disk_summary = disk->summary();
  plan.disk_serial = disk_identity(*disk);
  plan.disk_size = disk->size;
  plan.sector = disk->sector;
  plan.uefi = host.uefi;
  plan.system = system;
  plan.bundle = bundle;
  const auto identity = fmt::format("{}\n{}\n{}", plan.site_id, plan.node, plan.disk_serial);
  plan.table_uuid = deterministic_guid(identity + "\ntable");
  plan.partitions = make_layout(disk->size, bundle.size, identity);
  if (const auto* slot = plan.find("BP-SYSTEM-A"); system.size > slot->size) {
    return fail(ErrorKind::unsupported,
                fmt::format("the system image has {}, a slot holds {}", format_bytes(system.size),
                            format_bytes(slot->size)),
                "make a smaller image with: bedplate image system");
  }
  BP_CHECK(settle_contents(*node, *disk, plan));
  plan.budget = budget_of(plan);
  plan.steps = steps_of(plan);
  return plan;
}

}  // namespace bedplate::installer

#include "installer/probe/host.hpp"

#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/json.hpp"
#include "core/progress.hpp"

namespace bedplate::installer {
namespace {

std::string or_dash(std::string_view text) {
  return text.empty() ? "-" : std::string(text);
}

Json to_json(const Signature& signature) {
  return {{"type", signature.type}, {"label", signature.label}, {"uuid", signature.uuid}};
}

Json to_json(const std::vector<Signature>& signatures) {
  Json out = Json::array();
  for (const auto& signature : signatures) out.push_back(to_json(signature));
  return out;
}

Json to_json(const ProbedPartition& part) {
  return {{"number", part.number},
          {"start", part.start},
          {"size", part.size},
          {"label", part.label},
          {"uuid", part.uuid},
          {"type", part.type},
          {"signatures", to_json(part.signatures)}};
}

Json to_json(const ProbedDisk& disk) {
  Json partitions = Json::array();
  for (const auto& part : disk.partitions) partitions.push_back(to_json(part));
  return {{"name", disk.name},
          {"node", disk.node},
          {"size", disk.size},
          {"sector", disk.sector},
          {"serial", disk.serial},
          {"model", disk.model},
          {"wwn", disk.wwn},
          {"transport", disk.transport},
          {"links", disk.links},
          {"removable", disk.removable},
          {"readOnly", disk.read_only},
          {"bootMedium", disk.boot_medium},
          {"holders", disk.holders},
          {"mounts", disk.mounts},
          {"tableUuid", disk.table_uuid},
          {"signatures", to_json(disk.signatures)},
          {"partitions", partitions},
          {"markerSite", disk.marker_site},
          {"markerNode", disk.marker_node}};
}

std::vector<Signature> signatures_from(const Json& list) {
  std::vector<Signature> out;
  for (const auto& item : list) {
    out.push_back({item.value("type", ""), item.value("label", ""), item.value("uuid", "")});
  }
  return out;
}

ProbedPartition partition_from(const Json& json) {
  ProbedPartition part;
  part.number = json.value("number", 0);
  part.start = json.value("start", std::uint64_t{0});
  part.size = json.value("size", std::uint64_t{0});
  part.label = json.value("label", "");
  part.uuid = json.value("uuid", "");
  part.type = json.value("type", "");
  part.signatures = signatures_from(json.value("signatures", Json::array()));
  return part;
}

ProbedDisk disk_from(const Json& json) {
  using Strings = std::vector<std::string>;
  ProbedDisk disk;
  disk.name = json.value("name", "");
  disk.node = json.value("node", "");
  disk.size = json.value("size", std::uint64_t{0});
  disk.sector = json.value("sector", std::uint64_t{512});
  disk.serial = json.value("serial", "");
  disk.model = json.value("model", "");
  disk.wwn = json.value("wwn", "");
  disk.transport = json.value("transport", "");
  disk.links = json.value("links", Strings{});
  disk.removable = json.value("removable", false);
  disk.read_only = json.value("readOnly", false);
  disk.boot_medium = json.value("bootMedium", false);
  disk.holders = json.value("holders", Strings{});
  disk.mounts = json.value("mounts", Strings{});
  disk.table_uuid = json.value("tableUuid", "");
  disk.signatures = signatures_from(json.value("signatures", Json::array()));
  for (const auto& item : json.value("partitions", Json::array())) {
    disk.partitions.push_back(partition_from(item));
  }
  disk.marker_site = json.value("markerSite", "");
  disk.marker_node = json.value("markerNode", "");
  return disk;
}

}  // namespace

std::string Signature::text() const {
  static const std::map<std::string, std::string, std::less<>> kNames = {
      {"gpt", "GPT partition table"},
      {"dos", "MBR partition table"},
      {"PMBR", "protective MBR"},
      {"LVM2_member", "LVM physical volume"},
      {"linux_raid_member", "Linux RAID member"},
      {"crypto_LUKS", "LUKS encrypted volume"},
      {"swap", "swap space"},
      {"iso9660", "ISO 9660 file system"},
      {"ceph_bluestore", "Ceph BlueStore"},
      {"zfs_member", "ZFS pool member"},
      {"drbd", "DRBD device"},
      {"bcache", "bcache device"},
      {"ddf_raid_member", "DDF RAID member"},
      {"isw_raid_member", "Intel RAID member"}};
  const auto known = kNames.find(type);
  auto out = known != kNames.end() ? known->second : type + " file system";
  if (!label.empty()) out += fmt::format(" '{}'", label);
  return out;
}

std::string ProbedDisk::summary() const {
  return fmt::format("{}: {}, serial {}, model {}, wwn {}{}{}", node, format_bytes(size),
                     or_dash(serial), or_dash(model), or_dash(wwn),
                     transport.empty() ? "" : ", " + transport, removable ? ", removable" : "");
}

std::vector<std::string> ProbedDisk::contents() const {
  std::vector<std::string> out;
  for (const auto& signature : signatures) out.push_back("whole disk: " + signature.text());
  for (const auto& part : partitions) {
    std::vector<std::string> inside;
    for (const auto& signature : part.signatures) inside.push_back(signature.text());
    out.push_back(fmt::format(
        "partition {}{}: {}, {}", part.number,
        part.label.empty() ? "" : fmt::format(" '{}'", part.label),
        inside.empty() ? "nothing recognised" : fmt::format("{}", fmt::join(inside, " and ")),
        format_bytes(part.size)));
  }
  if (!marker_site.empty()) {
    out.push_back(fmt::format("installed Bedplate node '{}' of the site with id {}", marker_node,
                              marker_site));
  }
  return out;
}

Json to_json(const ProbedHost& host) {
  Json disks = Json::array();
  for (const auto& disk : host.disks) disks.push_back(to_json(disk));
  return {{"serial", host.serial},   {"uuid", host.uuid}, {"vendor", host.vendor},
          {"product", host.product}, {"macs", host.macs}, {"memory", host.memory},
          {"uefi", host.uefi},       {"disks", disks},    {"efiVariables", host.efi_variables}};
}

Result<ProbedHost> probed_host_from_json(const Json& json) {
  try {
    ProbedHost host;
    host.serial = json.value("serial", "");
    host.uuid = json.value("uuid", "");
    host.vendor = json.value("vendor", "");
    host.product = json.value("product", "");
    host.macs = json.value("macs", std::vector<std::string>{});
    host.memory = json.value("memory", std::uint64_t{0});
    host.uefi = json.value("uefi", false);
    host.efi_variables = json.value("efiVariables", false);
    for (const auto& item : json.value("disks", Json::array())) {
      host.disks.push_back(disk_from(item));
    }
    return host;
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorKind::invalid, fmt::format("not a probed host: {}", error.what()));
  }
}

}  // namespace bedplate::installer

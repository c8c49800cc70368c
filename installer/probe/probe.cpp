#include "installer/probe/probe.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "core/file.hpp"
#include "core/hardware.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "installer/probe/markers.hpp"
#include "installer/probe/signatures.hpp"

namespace bedplate::installer {
namespace fs = std::filesystem;
namespace {

std::string trim(std::string_view text) {
  const auto space = [](char c) {
    return std::isspace(static_cast<unsigned char>(c)) || c == '\0';
  };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

/// Trimmed content of a small file; empty when it cannot be read.
std::string attribute(const fs::path& path) {
  auto content = read_file(path, 1 << 16);
  return content ? trim(*content) : std::string();
}

std::uint64_t number(const fs::path& path) {
  const auto text = attribute(path);
  std::uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> out;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    out.push_back(entry.path().filename().string());
  }
  std::ranges::sort(out);
  return out;
}

/// Lines "E:NAME=value" of udev's database entry of a block device.
std::string udev_property(const fs::path& root, std::string_view device_number,
                          std::string_view name) {
  auto content = read_file(root / "run/udev/data" / fmt::format("b{}", device_number), 1 << 20);
  if (!content) return {};
  std::istringstream lines(*content);
  const auto prefix = fmt::format("E:{}=", name);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(prefix)) return line.substr(prefix.size());
  }
  return {};
}

/// Device numbers "8:1" of a disk and its partitions.
std::set<std::string> device_numbers(const fs::path& block, const std::string& name) {
  std::set<std::string> out{attribute(block / name / "dev")};
  for (const auto& child : names_in(block / name)) {
    if (child.starts_with(name)) out.insert(attribute(block / name / child / "dev"));
  }
  out.erase("");
  return out;
}

struct Mount {
  std::string device_number;
  std::string point;
};

std::vector<Mount> read_mounts(const fs::path& root) {
  std::vector<Mount> out;
  auto content = read_file(root / "proc/self/mountinfo", 8 << 20);
  if (!content) return out;
  std::istringstream lines(*content);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, parent, device, inner, point;
    if (words >> id >> parent >> device >> inner >> point) out.push_back({device, point});
  }
  return out;
}

std::string transport_of(const fs::path& root, const fs::path& device, const std::string& name,
                         std::string_view device_number) {
  if (name.starts_with("vd")) return "virtio";
  if (name.starts_with("nvme")) return "nvme";
  if (name.starts_with("mmcblk")) return "mmc";
  std::error_code code;
  const auto real = fs::weakly_canonical(device, code).string();
  if (real.find("/usb") != std::string::npos) return "usb";
  if (udev_property(root, device_number, "ID_BUS") == "ata" ||
      real.find("/ata") != std::string::npos) {
    return "sata";
  }
  return name.starts_with("sd") ? "scsi" : "";
}

std::vector<std::string> links_of(const fs::path& root, const std::string& name) {
  std::vector<std::string> out;
  for (const auto* folder : {"by-id", "by-path"}) {
    const auto place = root / "dev/disk" / folder;
    for (const auto& link : names_in(place)) {
      std::error_code code;
      const auto target = fs::read_symlink(place / link, code);
      if (!code && target.filename() == name) {
        out.push_back(fmt::format("/dev/disk/{}/{}", folder, link));
      }
    }
  }
  return out;
}

std::vector<std::string> holders_of(const fs::path& block, const std::string& name) {
  auto out = names_in(block / name / "holders");
  for (const auto& child : names_in(block / name)) {
    if (!child.starts_with(name)) continue;
    for (auto& holder : names_in(block / name / child / "holders")) out.push_back(holder);
  }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

/// Disks that could hold a system: not loop, RAM, optical or device-mapper devices.
bool is_candidate_name(const std::string& name) {
  if (name.starts_with("mmcblk")) {
    return name.find("boot") == std::string::npos && name.find("rpmb") == std::string::npos;
  }
  if (name.starts_with("nvme")) return name.find('c') == std::string::npos;  // hidden path devices
  return name.starts_with("sd") || name.starts_with("vd") || name.starts_with("xvd") ||
         name.starts_with("hd");
}

void read_identity(const fs::path& root, const fs::path& dir, ProbedDisk& disk,
                   std::string_view device_number) {
  const auto device = dir / "device";
  // virtio shows its serial at the block device, NVMe and MMC at the controller, SCSI in udev's
  // data.
  for (auto candidate : {attribute(dir / "serial"), attribute(device / "serial"),
                         udev_property(root, device_number, "ID_SCSI_SERIAL"),
                         udev_property(root, device_number, "ID_SERIAL_SHORT")}) {
    if (disk.serial.empty()) disk.serial = std::move(candidate);
  }
  for (auto candidate : {attribute(device / "model"), attribute(device / "name"),
                         udev_property(root, device_number, "ID_MODEL")}) {
    if (disk.model.empty()) disk.model = std::move(candidate);
  }
  for (auto candidate : {attribute(dir / "wwid"), attribute(device / "wwid"),
                         udev_property(root, device_number, "ID_WWN")}) {
    if (disk.wwn.empty()) disk.wwn = std::move(candidate);
  }
}

void read_contents(const ProbeOptions& options, ProbedDisk& disk, ProcessRunner& runner) {
  const auto device = options.root / fs::path(disk.node).relative_path();
  auto contents = probe_contents(device, 0);
  if (!contents) {
    log::warning("{}: {}", disk.node, contents.error().what);
    disk.signatures.push_back({"unreadable", contents.error().what, {}});
    return;
  }
  disk.signatures = std::move(contents->signatures);
  disk.partitions = std::move(contents->partitions);
  disk.table_uuid = std::move(contents->table_uuid);
  if (auto marker = read_marker(device, disk.partitions, runner)) {
    disk.marker_site = marker->site;
    disk.marker_node = marker->node;
  }
}

std::uint64_t read_memory(const fs::path& root) {
  auto content = read_file(root / "proc/meminfo", 1 << 20);
  if (!content || !content->starts_with("MemTotal:")) return 0;
  std::istringstream words(content->substr(9));
  std::uint64_t kib = 0;
  words >> kib;
  return kib * 1024;
}

}  // namespace

Result<ProbedDisk> probe_disk(const ProbeOptions& options, std::string_view name,
                              ProcessRunner& runner) {
  const auto block = options.root / "sys/block";
  const auto dir = block / name;
  std::error_code code;
  if (!fs::exists(dir, code)) {
    return fail(ErrorKind::not_found, fmt::format("there is no disk {}", name));
  }
  ProbedDisk disk;
  disk.name = name;
  disk.node = "/dev/" + disk.name;
  disk.size = number(dir / "size") * 512;
  disk.sector = std::max<std::uint64_t>(number(dir / "queue/logical_block_size"), 512);
  disk.removable = number(dir / "removable") == 1;
  disk.read_only = number(dir / "ro") == 1;
  const auto own = attribute(dir / "dev");
  read_identity(options.root, dir, disk, own);
  disk.transport = transport_of(options.root, dir / "device", disk.name, own);
  disk.links = links_of(options.root, disk.name);
  disk.holders = holders_of(block, disk.name);
  const auto numbers = device_numbers(block, disk.name);
  for (const auto& mount : read_mounts(options.root)) {
    if (!numbers.contains(mount.device_number)) continue;
    disk.mounts.push_back(mount.point);
    if (mount.point == options.medium) disk.boot_medium = true;
  }
  if (options.contents) read_contents(options, disk, runner);
  // A second copy of a medium must not be a target either.
  if (std::ranges::any_of(disk.signatures, [](const Signature& signature) {
        return signature.type == "iso9660" && signature.label == "BEDPLATE";
      })) {
    disk.boot_medium = true;
  }
  return disk;
}

Result<ProbedHost> probe_host(const ProbeOptions& options, ProcessRunner& runner) {
  ProbedHost host;
  auto identity = read_hardware(options.root);
  host.serial = std::move(identity.serial);
  host.uuid = std::move(identity.uuid);
  host.macs = std::move(identity.macs);
  const auto dmi = options.root / "sys/class/dmi/id";
  host.vendor = dmi_value(dmi / "sys_vendor");
  host.product = dmi_value(dmi / "product_name");
  host.memory = read_memory(options.root);
  std::error_code code;
  host.uefi = fs::exists(options.root / "sys/firmware/efi", code);
  host.efi_variables = !names_in(options.root / "sys/firmware/efi/efivars").empty();
  for (const auto& name : names_in(options.root / "sys/block")) {
    if (!is_candidate_name(name)) continue;
    BP_TRY(auto disk, probe_disk(options, name, runner));
    if (disk.size > 0) host.disks.push_back(std::move(disk));  // 0: an empty card reader
  }
  return host;
}

}  // namespace bedplate::installer

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/result.hpp"

namespace bedplate::installer {

/// Something recognisable on a block device: a partition table, a file system, a member of a RAID
/// set or volume group, an encrypted volume.
struct Signature {
  std::string type;  ///< libblkid's name: "gpt", "dos", "ext4", "LVM2_member", "crypto_LUKS", …
  std::string label;
  std::string uuid;
  /// For people: "ext4 file system 'data'", "LVM physical volume".
  std::string text() const;
};

/// One partition as the table on the disk names it (not as the kernel may still remember it).
struct ProbedPartition {
  int number = 0;
  std::uint64_t start = 0;  ///< bytes
  std::uint64_t size = 0;   ///< bytes
  std::string label;        ///< GPT name; empty on other tables
  std::string uuid;         ///< lower case
  std::string type;         ///< lower-case GUID, or "0x83" on other tables
  std::vector<Signature> signatures;
};

struct ProbedDisk {
  std::string name;  ///< kernel name: "sda"
  std::string node;  ///< "/dev/sda"
  std::uint64_t size = 0;
  std::uint64_t sector = 512;  ///< logical sector size, bytes
  std::string serial;
  std::string model;
  std::string wwn;
  std::string transport;           ///< "virtio", "nvme", "usb", "sata", "scsi", "mmc" or empty
  std::vector<std::string> links;  ///< /dev/disk/by-id/… and by-path/…, sorted
  bool removable = false;
  bool read_only = false;
  bool boot_medium = false;          ///< the running system came from it
  std::vector<std::string> holders;  ///< device-mapper and md devices that stand on it: "dm-0"
  std::vector<std::string> mounts;   ///< mount points of it and its partitions
  std::string table_uuid;            ///< of the partition table, lower case
  std::vector<Signature> signatures;
  std::vector<ProbedPartition> partitions;
  std::string marker_site;  ///< id of the site that was completely installed on it by us, or empty
  std::string marker_node;  ///< and the node's name

  bool empty() const { return signatures.empty() && partitions.empty(); }
  /// One line: "/dev/vda: 20.0 GiB, serial NODE1-ROOT, model -, virtio".
  std::string summary() const;
  /// What would be lost, one line each: "partition 1 'data': ext4 file system 'home', 10.0 GiB".
  std::vector<std::string> contents() const;
};

/// What a machine is, as far as installing needs it.
struct ProbedHost {
  std::string serial;  ///< DMI product serial
  std::string uuid;    ///< DMI product UUID, lower case
  std::string vendor;
  std::string product;
  std::vector<std::string> macs;  ///< of adapters with hardware behind them, normalised, sorted
  std::uint64_t memory = 0;       ///< bytes
  bool uefi = false;
  bool efi_variables = false;  ///< NVRAM entries can be read and written
  std::vector<ProbedDisk> disks;
};

nlohmann::json to_json(const ProbedHost& host);
/// Reads what to_json wrote. ErrorKind::invalid on a value of the wrong type.
Result<ProbedHost> probed_host_from_json(const nlohmann::json& json);

}  // namespace bedplate::installer

#include "installer/probe/signatures.hpp"

#include <algorithm>
#include <cctype>
#include <memory>

#include <blkid/blkid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::installer {
namespace {

using BlkidProbe = std::unique_ptr<blkid_struct_probe, decltype(&blkid_free_probe)>;

struct Device {
  UniqueFd fd;
  BlkidProbe probe{nullptr, blkid_free_probe};
};

/// `offset` and `size` in bytes; size 0 is the whole device.
Result<Device> open_device(const std::filesystem::path& path, int flags, std::uint64_t offset,
                           std::uint64_t size, std::uint64_t sector) {
  Device device;
  BP_TRY(device.fd, open_file(path, flags));
  device.probe.reset(blkid_new_probe());
  if (!device.probe ||
      blkid_probe_set_device(device.probe.get(), device.fd.get(), static_cast<blkid_loff_t>(offset),
                             static_cast<blkid_loff_t>(size)) != 0) {
    return fail(ErrorKind::io, "cannot probe " + path.string());
  }
  if (sector != 0) {
    blkid_probe_set_sectorsize(device.probe.get(), static_cast<unsigned>(sector));
  }
  blkid_probe_enable_superblocks(device.probe.get(), 1);
  blkid_probe_set_superblocks_flags(device.probe.get(), BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID |
                                                            BLKID_SUBLKS_TYPE | BLKID_SUBLKS_MAGIC |
                                                            BLKID_SUBLKS_BADCSUM);
  blkid_probe_enable_partitions(device.probe.get(), 1);
  // FORCE_GPT: a table whose protective MBR is gone is still somebody's table.
  blkid_probe_set_partitions_flags(device.probe.get(), BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);
  return device;
}

std::string value(blkid_probe probe, const char* name) {
  const char* data = nullptr;
  std::size_t size = 0;
  if (blkid_probe_lookup_value(probe, name, &data, &size) != 0 || data == nullptr) return {};
  return std::string(data, size > 0 && data[size - 1] == '\0' ? size - 1 : size);
}

std::string text(const char* data) {
  return data == nullptr ? std::string() : std::string(data);
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Several areas may carry the same kind (the two headers of a GPT): each kind is named once.
void add_unique(std::vector<Signature>& list, Signature signature) {
  const bool known = std::ranges::any_of(list, [&](const Signature& other) {
    return other.type == signature.type && other.uuid == signature.uuid;
  });
  if (!known && !signature.type.empty()) list.push_back(std::move(signature));
}

Result<std::vector<Signature>> signatures_of(const Device& device,
                                             const std::filesystem::path& path) {
  std::vector<Signature> out;
  blkid_probe probe = device.probe.get();
  while (true) {
    const int rc = blkid_do_probe(probe);
    if (rc == 1) return out;
    if (rc < 0) return fail(ErrorKind::io, "cannot read the signatures of " + path.string());
    if (auto table = value(probe, "PTTYPE"); !table.empty()) {
      add_unique(out, {table, {}, value(probe, "PTUUID")});
    } else {
      add_unique(out, {value(probe, "TYPE"), value(probe, "LABEL"), value(probe, "UUID")});
    }
  }
}

ProbedPartition read_partition(blkid_partition entry) {
  ProbedPartition part;
  part.number = blkid_partition_get_partno(entry);
  part.start = static_cast<std::uint64_t>(blkid_partition_get_start(entry)) * 512;
  part.size = static_cast<std::uint64_t>(blkid_partition_get_size(entry)) * 512;
  part.label = text(blkid_partition_get_name(entry));
  part.uuid = lower(text(blkid_partition_get_uuid(entry)));
  part.type = lower(text(blkid_partition_get_type_string(entry)));
  if (part.type.empty()) part.type = fmt::format("0x{:x}", blkid_partition_get_type(entry));
  return part;
}

}  // namespace

Result<std::vector<Signature>> probe_signatures(const std::filesystem::path& device) {
  BP_TRY(const auto opened, open_device(device, O_RDONLY, 0, 0, 0));
  return signatures_of(opened, device);
}

Result<DiskContents> probe_contents(const std::filesystem::path& device, std::uint64_t sector) {
  BP_TRY(auto whole, open_device(device, O_RDONLY, 0, 0, sector));
  DiskContents out;
  BP_TRY(out.signatures, signatures_of(whole, device));
  blkid_reset_probe(whole.probe.get());
  blkid_partlist list = blkid_probe_get_partitions(whole.probe.get());
  if (list == nullptr) return out;
  if (blkid_parttable table = blkid_partlist_get_table(list); table != nullptr) {
    out.table_uuid = lower(text(blkid_parttable_get_id(table)));
  }
  for (int i = 0; i < blkid_partlist_numof_partitions(list); ++i) {
    blkid_partition entry = blkid_partlist_get_partition(list, i);
    auto part = read_partition(entry);
    if (blkid_partition_is_extended(entry) == 0 && part.size > 0) {
      BP_TRY(const auto inside, open_device(device, O_RDONLY, part.start, part.size, sector));
      BP_TRY(part.signatures, signatures_of(inside, device));
    }
    out.partitions.push_back(std::move(part));
  }
  return out;
}

Result<void> wipe_signatures(const std::filesystem::path& device, std::uint64_t offset,
                             std::uint64_t size) {
  // O_EXCL on a block device fails while it is mounted or part of something.
  std::error_code code;
  const int exclusive = std::filesystem::is_block_file(device, code) ? O_EXCL : 0;
  BP_TRY(const auto opened, open_device(device, O_RDWR | exclusive, offset, size, 0));
  while (true) {
    const int rc = blkid_do_probe(opened.probe.get());
    if (rc == 1) break;
    if (rc < 0 || blkid_do_wipe(opened.probe.get(), 0) != 0) {
      return fail(ErrorKind::io, "cannot erase the old signatures of " + device.string());
    }
  }
  if (::fsync(opened.fd.get()) != 0) {
    return fail(system_error(errno, "cannot sync " + device.string()));
  }
  return {};
}

}  // namespace bedplate::installer

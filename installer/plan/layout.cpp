#include "installer/plan/layout.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/digest.hpp"

namespace bedplate::installer {
namespace {

constexpr std::string_view kBiosBoot = "21686148-6449-6e6f-744e-656564454649";
constexpr std::string_view kEsp = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
// Not one of the "discoverable" types: nothing may be mounted because of its type alone.
constexpr std::string_view kLinuxData = "0fc63daf-8483-4772-8e79-3d69d8477de4";
constexpr std::string_view kLvm = "e6d6d379-f507-44c2-a23c-238f2a3df928";

constexpr std::uint64_t kSlot = 2 * kGiB;
constexpr std::uint64_t kEspSize = 512 * kMiB;
/// Before STATE: the table's MiB, BIOS boot, ESP, two slots; behind the last partition one MiB.
constexpr std::uint64_t kFixed = 2 * kMiB + kEspSize + 2 * kSlot + kMiB;
constexpr std::uint64_t kSmallDisk = 64 * kGiB;
constexpr std::uint64_t kSmallestData = 4 * kGiB;

}  // namespace

std::uint64_t minimum_state(std::uint64_t bundle_size) {
  return std::max(4 * kGiB, 2 * bundle_size + 2 * kGiB);
}

std::uint64_t minimum_disk(std::uint64_t bundle_size) {
  return kFixed + (minimum_state(bundle_size) + kMiB - 1) / kMiB * kMiB;
}

std::string deterministic_guid(std::string_view seed) {
  auto digest = Digest::of(seed);
  digest.bytes[6] = (digest.bytes[6] & std::byte{0x0f}) | std::byte{0x80};
  digest.bytes[8] = (digest.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  const auto hex = digest.hex();
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20, 12));
}

std::vector<PlannedPartition> make_layout(std::uint64_t disk_size, std::uint64_t bundle_size,
                                          std::string_view identity) {
  std::vector<PlannedPartition> out;
  std::uint64_t position = kMiB;
  const auto add = [&](std::string_view label, std::string_view type, std::uint64_t size,
                       std::string_view purpose) {
    out.push_back({static_cast<int>(out.size()) + 1, std::string(label), std::string(type),
                   deterministic_guid(fmt::format("{}\n{}", identity, label)), position, size,
                   std::string(purpose)});
    position += size;
  };
  add("BP-BIOS", kBiosBoot, kMiB, "boot loader for BIOS");
  add("BP-ESP", kEsp, kEspSize, "FAT32: boot loader, kernels");
  add("BP-SYSTEM-A", kLinuxData, kSlot, "system slot A, verity");
  add("BP-SYSTEM-B", kLinuxData, kSlot, "system slot B, for upgrades");
  const auto rest = (disk_size - kFixed) / kMiB * kMiB;
  auto state = rest;
  if (disk_size >= kSmallDisk) {
    const auto wanted = std::max(8 * kGiB, 3 * bundle_size + 4 * kGiB);
    state = std::min(rest, (wanted + kMiB - 1) / kMiB * kMiB);
  }
  if (rest - state < kSmallestData) state = rest;
  add("BP-STATE", kLinuxData, state, "ext4: /var, bundle, images, logs");
  if (rest > state) add("BP-DATA", kLvm, rest - state, "LVM volume group bedplate-data");
  return out;
}

}  // namespace bedplate::installer

#include "installer/resume.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "installer/apply/fat.hpp"
#include "installer/apply/nvram.hpp"
#include "installer/probe/markers.hpp"

namespace bedplate::installer {
namespace {

constexpr std::chrono::minutes kPatience{30};
constexpr std::string_view kNote = "/bedplate/continued";

std::unexpected<Error> does_not_start(const Site& site, const ProbedDisk& disk,
                                      std::string_view why) {
  return fail(ErrorKind::conflict,
              fmt::format("this machine is installed for site '{}' on {}, but {}", site.name,
                          disk.node, why),
              fmt::format("remove the medium and restart; if the disk does not start, choose "
                          "\"Bedplate {}\" in the firmware's boot menu",
                          site.name));
}

/// A clock that runs backwards counts as a repeat: staying at the console is the safe side.
bool is_repeat(const Fat& esp, Clock& clock) {
  const auto note = esp.get(kNote);
  if (!note) return false;
  const auto time = parse_rfc3339(std::string_view(*note).substr(0, note->find('\n')));
  return !time || clock.now() - *time < kPatience;
}

}  // namespace

const ProbedDisk* find_installed(const Site& site, const SiteNode& node, const ProbedHost& host) {
  const auto id = site.id();
  const auto found = std::ranges::find_if(host.disks, [&](const ProbedDisk& disk) {
    return disk.marker_site == id && disk.marker_node == node.name;
  });
  return found == host.disks.end() ? nullptr : &*found;
}

Result<void> continue_from_disk(const Site& site, const ProbedHost& host, const ProbedDisk& disk,
                                ProcessRunner& runner, Clock& clock) {
  const auto part = std::ranges::find(disk.partitions, "BP-ESP", &ProbedPartition::label);
  if (part == disk.partitions.end()) {
    return does_not_start(site, disk, "its EFI system partition is gone");
  }
  Fat esp(mtools_drive(disk.node, part->start), disk.node, runner);
  if (is_repeat(esp, clock)) {
    return does_not_start(site, disk, "the firmware started the medium again instead of it");
  }
  if (!host.uefi || !host.efi_variables) {
    return does_not_start(site, disk,
                          "the firmware started the medium and cannot be told to "
                          "start the disk");
  }
  Nvram nvram(runner);
  const auto label = "Bedplate " + site.name;
  BP_TRY_DURING(auto entry, "looking for our boot entry", nvram.find(label, part->uuid));
  if (entry.empty()) {
    BP_CHECK_DURING("making our boot entry again", nvram.enter(label, disk.node, part->uuid));
    BP_TRY(entry, nvram.find(label, part->uuid));
  }
  BP_CHECK_DURING("noting the attempt on the disk",
                  esp.put_text(format_rfc3339(clock.now()) + "\n", kNote));
  BP_CHECK_DURING("choosing the disk for the next start", nvram.boot_next(entry));
  return {};
}

}  // namespace bedplate::installer

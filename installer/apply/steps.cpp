#include <algorithm>
#include <map>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>

#include "core/file.hpp"
#include "installer/apply/bios_loader.hpp"
#include "installer/apply/copy.hpp"
#include "installer/apply/fat.hpp"
#include "installer/apply/installation.hpp"
#include "installer/apply/nvram.hpp"
#include "installer/apply/table.hpp"
#include "installer/plan/layout.hpp"
#include "installer/probe/markers.hpp"
#include "installer/probe/signatures.hpp"

namespace bedplate::installer {
namespace {

namespace fs = std::filesystem;

std::string text_of(const Plan& plan, std::string_view id) {
  for (const auto& step : plan.steps) {
    if (step.id == id) return step.text;
  }
  return std::string(id);
}

fs::path partition_node(const Installation& in, std::string_view label) {
  return in.disk.partition(in.plan.find(label)->number);
}

void begin(const Installation& in, std::string_view title, std::uint64_t total) {
  if (in.progress != nullptr) in.progress->begin(title, total);
}

void end(const Installation& in) {
  if (in.progress != nullptr) in.progress->end();
}

/// The first eight hex digits of the ESP's GUID: a FAT volume id that is a function of the plan.
std::uint32_t esp_volume_id(const Plan& plan) {
  const auto id = std::stoul(plan.find("BP-ESP")->uuid.substr(0, 8), nullptr, 16);
  return static_cast<std::uint32_t>(id) | 1U;  // never 0, which means unfinished
}

/// A check that writes nothing: missing until it was done in this run.
template <class Check>
std::unique_ptr<Step> make_check_step(std::string id, std::string text, Check check) {
  auto done = std::make_shared<bool>(false);
  return make_step(
      std::move(id), std::move(text),
      [done]() -> Result<ProbeResult> {
        return *done ? ProbeResult::satisfied() : ProbeResult::missing();
      },
      [done, check]() -> Result<void> {
        BP_CHECK(check());
        *done = true;
        return {};
      });
}

Result<void> check_system_image(const Installation& in) {
  const auto image = in.sources.medium / "system.img";
  begin(in, "Checking the system image", in.plan.system.size);
  auto digest = digest_prefix(image, in.plan.system.size, in.progress);
  end(in);
  if (!digest) return fail(std::move(digest).error());
  if (digest->hex() != in.plan.system.sha256) {
    return fail(ErrorKind::corrupt,
                fmt::format("{} is damaged: its digest is {}, it should be {}", image.string(),
                            digest->hex(), in.plan.system.sha256),
                "write the medium again, then compare it with: bedplate bundle verify");
  }
  return {};
}

// --- partition ----------------------------------------------------------------------------------

/// What is on the disk now, as the plan would describe it.
Result<ProbedDisk> look_again(const Installation& in) {
  ProbedDisk now;
  BP_TRY(auto contents, probe_contents(in.disk.node()));
  now.signatures = std::move(contents.signatures);
  now.partitions = std::move(contents.partitions);
  now.table_uuid = std::move(contents.table_uuid);
  return now;
}

Result<ProbeResult> probe_table(const Installation& in) {
  BP_TRY(const auto table, make_table(in.plan));
  BP_TRY(const auto written, table_is_written(in.disk.node(), table));
  if (written) {
    return in.disk.shows(in.plan.partitions)
               ? ProbeResult::satisfied()
               : ProbeResult::missing("the kernel does not show the partitions yet");
  }
  BP_TRY(const auto now, look_again(in));
  // Our own table with one copy missing: a cut while it was written.
  if (now.table_uuid == in.plan.table_uuid) return ProbeResult::missing("the table is incomplete");
  for (const auto& line : now.contents()) {
    if (std::ranges::find(in.plan.destroyed, line) == in.plan.destroyed.end()) {
      return ProbeResult::conflict(fmt::format(
          "{} has something on it that the plan does not name: {}", in.disk.node().string(), line));
    }
  }
  return ProbeResult::missing();
}

/// Old signatures go before the new table is written, so that the table means: all of this is done.
Result<void> write_partitions(const Installation& in) {
  const auto node = in.disk.node();
  BP_TRY(const auto table, make_table(in.plan));
  BP_TRY(const auto written, table_is_written(node, table));
  if (!written) {
    BP_CHECK(in.disk.release());
    BP_CHECK(in.disk.show({}));
    BP_TRY(const auto now, look_again(in));
    const auto wipe = [&](std::uint64_t start, std::uint64_t size) {
      return wipe_signatures(node, start, size);
    };
    for (const auto& part : now.partitions) {
      if (part.size > 0 && !part.signatures.empty()) BP_CHECK(wipe(part.start, part.size));
    }
    if (now.table_uuid != in.plan.table_uuid) BP_CHECK(wipe(0, 0));
    for (const auto& part : in.plan.partitions) BP_CHECK(wipe(part.start, part.size));
    BP_CHECK(write_table(node, table, in.plan.sector));
  }
  return in.disk.show(in.plan.partitions);
}

// --- esp ----------------------------------------------------------------------------------------

Result<std::string> content_of(const EspFile& file) {
  if (!file.from.empty()) return read_file(file.from, std::uint64_t{512} << 20);
  return file.content;
}

/// Sealed, and each file on it as it must be.
Result<ProbeResult> probe_esp(const Installation& in) {
  const Fat fat(partition_node(in, "BP-ESP"), in.runner);
  if (fat.volume_id() != esp_volume_id(in.plan)) return ProbeResult::missing();
  BP_TRY(const auto files, esp_files(in.plan, in.sources));
  for (const auto& file : files) {
    BP_TRY(const auto wanted, content_of(file));
    const auto have = fat.get(file.path);
    if (!have || *have != wanted) return ProbeResult::missing(file.path + " differs");
  }
  return ProbeResult::satisfied();
}

Result<void> write_esp(const Installation& in) {
  BP_TRY(const auto files, esp_files(in.plan, in.sources));
  Fat fat(partition_node(in, "BP-ESP"), in.runner);
  BP_CHECK(fat.format());
  for (const auto& folder : esp_folders()) BP_CHECK(fat.make_folder(folder));
  for (const auto& file : files) {
    BP_CHECK(file.from.empty() ? fat.put_text(file.content, file.path)
                               : fat.put(file.from, file.path));
  }
  return fat.seal(esp_volume_id(in.plan));
}

// --- bios-loader --------------------------------------------------------------------------------

Result<BiosLoader> bios_loader(const Installation& in) {
  BP_TRY(auto boot, read_file(in.sources.loader / "bios/boot.img"));
  BP_TRY(auto core, read_file(in.sources.loader / "bios/core.img"));
  return make_bios_loader(std::move(boot), std::move(core), in.plan.find("BP-BIOS")->start);
}

Result<ProbeResult> probe_bios_loader(const Installation& in) {
  if (in.plan.sector != 512) {
    return ProbeResult::satisfied(
        fmt::format("BIOS cannot start from sectors of {} bytes", in.plan.sector));
  }
  BP_TRY(const auto loader, bios_loader(in));
  BP_TRY(const auto written,
         bios_loader_is_written(in.disk.node(), loader, in.plan.find("BP-BIOS")->start));
  return written ? ProbeResult::satisfied() : ProbeResult::missing();
}

Result<void> apply_bios_loader(const Installation& in) {
  BP_TRY(const auto loader, bios_loader(in));
  BP_CHECK(write_bios_loader(in.disk.node(), loader, in.plan.find("BP-BIOS")->start));
  // udev looks at the disk again after a write; the next step wants quiet partitions.
  return in.disk.show(in.plan.partitions);
}

// --- write-system -------------------------------------------------------------------------------

/// Slots are written head last: zeros there mean that nothing is complete. Saves reading it all.
Result<bool> has_head(const fs::path& slot) {
  std::string head(4096, '\0');
  BP_TRY(const auto fd, open_file(slot, O_RDONLY));
  BP_CHECK(read_exactly_at(fd.get(), std::as_writable_bytes(std::span(head)), 0));
  return head.find_first_not_of('\0') != std::string::npos;
}

Result<ProbeResult> probe_system(const Installation& in) {
  const auto slot = partition_node(in, "BP-SYSTEM-A");
  BP_TRY(const auto started, has_head(slot));
  if (!started) return ProbeResult::missing();
  begin(in, "Reading slot A back", in.plan.system.size);
  const auto digest = digest_prefix(slot, in.plan.system.size, in.progress);
  end(in);
  if (!digest) return fail(digest.error());
  return digest->hex() == in.plan.system.sha256 ? ProbeResult::satisfied()
                                                : ProbeResult::missing("slot A differs");
}

Result<void> write_system(const Installation& in) {
  begin(in, "Writing the system image", in.plan.system.size);
  const auto digest = copy_to_device(in.sources.medium / "system.img", in.plan.system.size,
                                     partition_node(in, "BP-SYSTEM-A"), in.progress);
  end(in);
  if (!digest) return fail(digest.error());
  if (digest->hex() != in.plan.system.sha256) {
    return fail(ErrorKind::corrupt, "the medium gave other bytes of the system image than before",
                "the medium or its reader is failing: write another one");
  }
  return {};
}

// --- nvram, marker ------------------------------------------------------------------------------

Result<ProbeResult> probe_nvram(const Installation& in, const std::string& gave_up) {
  if (!in.plan.uefi) return ProbeResult::satisfied("BIOS has no boot entries");
  if (!in.efi_variables) {
    return ProbeResult::satisfied("no EFI variables here; the firmware starts \\EFI\\BOOT itself");
  }
  if (!gave_up.empty()) return ProbeResult::satisfied(gave_up);
  const auto found = Nvram(in.runner).find(boot_entry_label(in.plan), in.plan.find("BP-ESP")->uuid);
  if (!found) return ProbeResult::satisfied("not readable: " + found.error().what);
  return found->empty() ? ProbeResult::missing() : ProbeResult::satisfied("Boot" + *found);
}

Result<ProbeResult> probe_marker(const Installation& in) {
  const Fat fat(partition_node(in, "BP-ESP"), in.runner);
  const auto have = fat.get("/bedplate/installed/" + in.plan.site_id);
  const bool same = have && *have == marker_text({in.plan.site_id, in.plan.node});
  return same ? ProbeResult::satisfied() : ProbeResult::missing();
}

}  // namespace

std::string boot_entry_label(const Plan& plan) {
  return "Bedplate " + plan.site_name;
}

std::unique_ptr<Step> make_verify_bundle_step(Installation& in) {
  return make_check_step("verify-bundle", text_of(in.plan, "verify-bundle"), [&in] {
    return in.bundles.verify(in.sources.medium / "site.bundle", in.progress);
  });
}

std::unique_ptr<Step> make_verify_system_step(Installation& in) {
  return make_check_step("verify-system", text_of(in.plan, "verify-system"),
                         [&in] { return check_system_image(in); });
}

std::unique_ptr<Step> make_partition_step(Installation& in) {
  return make_step(
      "partition", text_of(in.plan, "partition"), [&in] { return probe_table(in); },
      [&in] { return write_partitions(in); });
}

std::unique_ptr<Step> make_esp_step(Installation& in) {
  return make_step(
      "esp", text_of(in.plan, "esp"), [&in] { return probe_esp(in); },
      [&in] { return write_esp(in); });
}

std::unique_ptr<Step> make_bios_loader_step(Installation& in) {
  return make_step(
      "bios-loader", text_of(in.plan, "bios-loader"), [&in] { return probe_bios_loader(in); },
      [&in] { return apply_bios_loader(in); });
}

std::unique_ptr<Step> make_write_system_step(Installation& in) {
  return make_step(
      "write-system", text_of(in.plan, "write-system"), [&in] { return probe_system(in); },
      [&in] { return write_system(in); });
}

std::unique_ptr<Step> make_nvram_step(Installation& in) {
  auto gave_up = std::make_shared<std::string>();
  return make_step(
      "nvram", text_of(in.plan, "nvram"), [&in, gave_up] { return probe_nvram(in, *gave_up); },
      [&in, gave_up]() -> Result<void> {
        // Full or read-only NVRAM is no reason not to install: \EFI\BOOT\BOOTX64.EFI is there.
        const auto entered = Nvram(in.runner).enter(
            boot_entry_label(in.plan), in.disk.node().string(), in.plan.find("BP-ESP")->uuid);
        if (!entered) *gave_up = "no entry, the firmware refuses: " + entered.error().what;
        return {};
      });
}

std::unique_ptr<Step> make_marker_step(Installation& in) {
  return make_step(
      "marker", text_of(in.plan, "marker"), [&in] { return probe_marker(in); },
      [&in]() -> Result<void> {
        Fat fat(partition_node(in, "BP-ESP"), in.runner);
        return fat.put_text(marker_text({in.plan.site_id, in.plan.node}),
                            "/bedplate/installed/" + in.plan.site_id);
      });
}

std::vector<std::unique_ptr<Step>> make_install_steps(Installation& in) {
  using Maker = std::unique_ptr<Step> (*)(Installation&);
  static const std::map<std::string, Maker, std::less<>> kMakers = {
      {"verify-bundle", make_verify_bundle_step},
      {"verify-system", make_verify_system_step},
      {"partition", make_partition_step},
      {"esp", make_esp_step},
      {"bios-loader", make_bios_loader_step},
      {"write-system", make_write_system_step},
      {"format-state", make_format_state_step},
      {"data", make_data_step},
      {"state", make_state_step},
      {"nvram", make_nvram_step},
      {"marker", make_marker_step}};
  std::vector<std::unique_ptr<Step>> out;
  for (const auto& step : in.plan.steps) out.push_back(kMakers.at(step.id)(in));
  return out;
}

}  // namespace bedplate::installer

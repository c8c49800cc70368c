#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "core/clock.hpp"
#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/site.hpp"
#include "core/step.hpp"
#include "installer/apply/boot_files.hpp"
#include "installer/apply/bundle.hpp"
#include "installer/apply/disk.hpp"
#include "installer/plan/plan.hpp"

namespace bedplate::installer {

/// Everything the steps work with. Must outlive them.
struct Installation {
  const Site& site;
  const Plan& plan;
  BootSources sources;
  Disk& disk;
  BundleChecker& bundles;
  ProcessRunner& runner;
  Clock& clock;
  Progress* progress = nullptr;
  /// Where STATE is mounted while it is filled.
  std::filesystem::path state_mount = "/run/bedplate/install/state";
  bool efi_variables = false;
};

/// The steps of Plan::steps, in order. Each may be killed at any instant; running all again brings
/// the same end. Nothing is written before the bundle and the system image are verified.
std::vector<std::unique_ptr<Step>> make_install_steps(Installation& installation);

// One function per file of this folder; make_install_steps puts them in order.
std::unique_ptr<Step> make_verify_bundle_step(Installation& installation);
std::unique_ptr<Step> make_verify_system_step(Installation& installation);
std::unique_ptr<Step> make_partition_step(Installation& installation);
std::unique_ptr<Step> make_esp_step(Installation& installation);
std::unique_ptr<Step> make_bios_loader_step(Installation& installation);
std::unique_ptr<Step> make_write_system_step(Installation& installation);
std::unique_ptr<Step> make_format_state_step(Installation& installation);
std::unique_ptr<Step> make_data_step(Installation& installation);
std::unique_ptr<Step> make_state_step(Installation& installation);
std::unique_ptr<Step> make_nvram_step(Installation& installation);
std::unique_ptr<Step> make_marker_step(Installation& installation);

/// "Bedplate <site>": the label of the firmware's boot entry.
std::string boot_entry_label(const Plan& plan);

}  // namespace bedplate::installer

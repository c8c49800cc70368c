#pragma once

#include <filesystem>
#include <string>

#include "core/result.hpp"

namespace bedplate::installer {

enum class InstallMode {
  dry_run,     ///< show the plan
  approved,    ///< apply the plan whose hash was given; the exit code tells, nothing restarts
  unattended,  ///< as the live system does it: stay at the console on failure, restart on success
};

struct InstallOptions {
  InstallMode mode = InstallMode::dry_run;
  std::string plan_hash;
  bool json = false;
  std::filesystem::path medium = "/run/medium";
  std::filesystem::path loader = "/usr/lib/bedplate/boot";
  std::filesystem::path trust = "/usr/lib/bedplate/trust/bundle-keys";
};

/// `bedplate install`: probe, plan, apply. A machine that is installed already goes on from its
/// disk.
Result<int> run_install(const InstallOptions& options);

}  // namespace bedplate::installer

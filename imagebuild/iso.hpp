#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "core/site.hpp"
#include "imagebuild/system.hpp"
#include "imagebuild/tools.hpp"

namespace bedplate::image {

struct IsoOptions {
  std::filesystem::path system;  ///< folder made by make_system
  std::filesystem::path bundle;
  Site site;                                     ///< sealed
  std::map<std::string, std::string> enrolment;  ///< node name → 32 raw bytes
  std::vector<std::string> kernel_arguments;     ///< for the live and the installed system
  WallTime now{};
};

struct IsoResult {
  std::filesystem::path file;
  std::uint64_t size = 0;
  std::string uuid;  ///< of its ISO 9660 file system
};

/// "2026-11-23-16-45-00-00": an ISO 9660 volume's UUID is its modification date, in UTC.
std::string medium_uuid(WallTime time);

/// What GRUB reads on the medium: the menu, and the short file on its EFI partition.
Result<std::string> medium_grub_config(const SystemInfo& system, const Site& site,
                                       std::string_view uuid,
                                       const std::vector<std::string>& kernel_arguments);
Result<std::string> medium_esp_config(std::string_view uuid);

/// "path in the ISO" = "file of this machine".
struct Graft {
  std::string path;
  std::filesystem::path file;
};

/// xorriso's command line for a hybrid ISO: El Torito for BIOS and UEFI, GPT with the ESP behind
/// the ISO 9660 file system. `boot` holds eltorito.img and boot_hybrid.img.
std::vector<std::string> xorriso_command(std::string_view xorriso, std::string_view uuid,
                                         const std::filesystem::path& boot,
                                         const std::filesystem::path& esp,
                                         const std::vector<Graft>& grafts,
                                         const std::filesystem::path& output);

/// Bytes written so far per 10000, from a line of xorriso; -1 when the line does not say.
int parse_xorriso_progress(std::string_view line);

/// Makes the medium. It carries enrolment secrets, so the file is readable by its owner only.
/// Checks first that system, bundle and site belong together (ErrorKind::untrusted, corrupt).
Result<IsoResult> make_iso(const Workshop& shop, const IsoOptions& options,
                           const std::filesystem::path& output);

}  // namespace bedplate::image

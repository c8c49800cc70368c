#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "installer/plan/plan.hpp"

namespace bedplate::installer {

/// A GRUB environment block: 1024 bytes, as grub-editenv(1) makes them.
Result<std::string> grub_environment(
    const std::vector<std::pair<std::string, std::string>>& variables);

/// Replaces each @NAME@. ErrorKind::invalid when one is left over or unknown.
Result<std::string> fill_template(std::string_view text,
                                  const std::map<std::string, std::string, std::less<>>& values);

/// What goes onto the ESP: a file to copy, or a text.
struct EspFile {
  std::string path;            ///< "/EFI/BOOT/BOOTX64.EFI"
  std::filesystem::path from;  ///< empty: `content`
  std::string content;
};

struct BootSources {
  std::filesystem::path loader;  ///< /usr/lib/bedplate/boot
  std::filesystem::path medium;  ///< its /bedplate folder
};

/// Folders (parents first) and files of the ESP, except for the marker.
std::vector<std::string> esp_folders();
Result<std::vector<EspFile>> esp_files(const Plan& plan, const BootSources& sources);

}  // namespace bedplate::installer

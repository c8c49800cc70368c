#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/result.hpp"

namespace bedplate::installer {

/// GRUB for BIOS as grub-install would lay it out: boot code for the MBR and the core image for the
/// BIOS boot partition, each told where the core lies (grub-core/boot/i386/pc/{boot,diskboot}.S).
struct BiosLoader {
  std::string boot_code;  ///< 440 bytes
  std::string core;
};

/// `core_offset`: bytes from the start of the disk. ErrorKind::invalid for files that are no GRUB
/// images.
Result<BiosLoader> make_bios_loader(std::string boot_image, std::string core_image,
                                    std::uint64_t core_offset);

Result<bool> bios_loader_is_written(const std::filesystem::path& disk, const BiosLoader& loader,
                                    std::uint64_t core_offset);

/// The core first, then the boot code that points to it; nothing else of the first sector changes.
Result<void> write_bios_loader(const std::filesystem::path& disk, const BiosLoader& loader,
                               std::uint64_t core_offset);

}  // namespace bedplate::installer

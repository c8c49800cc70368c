#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "imagebuild/verity.hpp"

namespace bedplate::image {

/// One word for the kernel line. ErrorKind::usage for what GRUB or the kernel would cut or expand:
/// blanks, quotes, '$', ';', '{', '}', '\\', '<', '>', '|', '&', '#', control characters.
Result<void> check_kernel_argument(std::string_view argument);

/// Kernel line of the medium: verity root on the loop device of system.img, the medium (found by
/// its ISO 9660 UUID) on /run/medium, /var in memory. Disks get three minutes to show up (large
/// controllers take more than systemd's 90 s); the console gets no escape sequences, as it may be
/// a log.
std::string live_kernel_line(const Verity& verity, std::string_view medium_uuid,
                             const std::vector<std::string>& extra);

}  // namespace bedplate::image

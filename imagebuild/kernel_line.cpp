#include "imagebuild/kernel_line.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace bedplate::image {

Result<void> check_kernel_argument(std::string_view argument) {
  constexpr std::string_view kForbidden = " '\"$;{}\\<>|&#`@";
  const bool bad = argument.empty() || std::ranges::any_of(argument, [&](char c) {
                     return c <= 0x20 || c == 0x7f || kForbidden.find(c) != std::string_view::npos;
                   });
  if (!bad) return {};
  return fail(ErrorKind::usage, fmt::format("kernel argument '{}' is not one plain word", argument),
              "give --kernel-arg once for each word, without quotes");
}

std::string live_kernel_line(const Verity& verity, std::string_view medium_uuid,
                             const std::vector<std::string>& extra) {
  constexpr std::string_view kLoop = "/dev/disk/by-loop-ref/system";
  auto line = fmt::format(
      "ro root=/dev/mapper/root rootfstype=squashfs roothash={} systemd.verity_root_data={} "
      "systemd.verity_root_hash={} systemd.verity_root_options=hash-offset={} "
      "rd.systemd.mount-extra=UUID={}:/run/medium:iso9660:ro systemd.volatile=state "
      "systemd.gpt_auto=no systemd.default_device_timeout_sec=180 systemd.tty.term.console=dumb "
      "bedplate.mode=live console=tty0 console=ttyS0,115200 panic=5",
      verity.root_hash, kLoop, kLoop, verity.hash_offset, medium_uuid);
  for (const auto& argument : extra) line += ' ' + argument;
  return line;
}

}  // namespace bedplate::image

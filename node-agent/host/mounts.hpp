#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace bedplate::agent {

/// "254:0": the device of what is mounted at `point`, by /proc/self/mountinfo below `root`
/// (proc_pid_mountinfo(5)); the last mount wins. Empty when nothing is.
std::string mounted_device(const std::filesystem::path& root, std::string_view point);

/// The partition with this GPT name on the disk that the partition `device` ("8:5") is on, as
/// "/dev/sda2", by sysfs below `root`. Nothing when there is none or `device` is no partition.
std::optional<std::string> sibling_partition(const std::filesystem::path& root,
                                             std::string_view device, std::string_view name);

}  // namespace bedplate::agent

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/site.hpp"

namespace bedplate {

/// What a machine says of itself, as far as a site file can name it.
struct HardwareIdentity {
  std::vector<std::string> macs;  ///< of adapters with hardware behind them, normalised and sorted
  std::string serial;             ///< DMI product serial; empty when the firmware has none
  std::string uuid;               ///< DMI product UUID in lower case; empty likewise
};

/// Reads sysfs below `root` ("/" on a machine). What cannot be read is empty.
HardwareIdentity read_hardware(const std::filesystem::path& root);

/// A DMI field without blanks; empty when the firmware holds one of the words that stand for
/// "nobody filled this in".
std::string dmi_value(const std::filesystem::path& path);

/// True when everything that `match` names is this machine's.
bool matches(const NodeMatch& match, const HardwareIdentity& machine);

/// "mac 52:54:00:00:00:01, serial X".
std::string match_text(const NodeMatch& match);

}  // namespace bedplate

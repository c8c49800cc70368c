#include "core/hardware.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/file.hpp"
#include "core/net.hpp"
#include "core/text.hpp"

namespace bedplate {
namespace fs = std::filesystem;
namespace {

/// Content of a small file without blanks and zero bytes at its ends; empty when it cannot be read.
std::string attribute(const fs::path& path) {
  auto text = read_file(path, 1 << 16).value_or("");
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return std::string(trimmed(text));
}

std::vector<std::string> read_macs(const fs::path& root) {
  std::vector<std::string> out;
  std::error_code code;
  for (fs::directory_iterator it(root / "sys/class/net", code), end; !code && it != end;
       it.increment(code)) {
    std::error_code ignored;
    // Only adapters with hardware behind them; bridges and tunnels make their addresses up.
    if (!fs::exists(it->path() / "device", ignored)) continue;
    auto mac = normalize_mac(attribute(it->path() / "address"));
    if (mac && *mac != "00:00:00:00:00:00") out.push_back(*mac);
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace

HardwareIdentity read_hardware(const fs::path& root) {
  const auto dmi = root / "sys/class/dmi/id";
  return {read_macs(root), dmi_value(dmi / "product_serial"),
          lower(dmi_value(dmi / "product_uuid"))};
}

std::string dmi_value(const fs::path& path) {
  static constexpr std::array<std::string_view, 9> placeholders{"",
                                                                "none",
                                                                "not specified",
                                                                "to be filled by o.e.m.",
                                                                "default string",
                                                                "system serial number",
                                                                "0",
                                                                "unknown",
                                                                "n/a"};
  auto text = attribute(path);
  return std::ranges::find(placeholders, lower(text)) == placeholders.end() ? text : std::string();
}

bool matches(const NodeMatch& match, const HardwareIdentity& machine) {
  if (match.mac && std::ranges::find(machine.macs, *match.mac) == machine.macs.end()) return false;
  if (match.serial && machine.serial != *match.serial) return false;
  return !match.uuid || machine.uuid == *match.uuid;
}

std::string match_text(const NodeMatch& match) {
  std::vector<std::string> out;
  if (match.mac) out.push_back("mac " + *match.mac);
  if (match.serial) out.push_back("serial " + *match.serial);
  if (match.uuid) out.push_back("uuid " + *match.uuid);
  return fmt::format("{}", fmt::join(out, ", "));
}

}  // namespace bedplate

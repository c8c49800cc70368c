#include "node-agent/host/mounts.hpp"

#include <sstream>
#include <system_error>

#include "core/file.hpp"

namespace bedplate::agent {
namespace fs = std::filesystem;
namespace {

/// The value of a line "NAME=value" of a uevent file; empty without one.
std::string uevent_value(const std::string& text, std::string_view name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == '=') {
      return line.substr(name.size() + 1);
    }
  }
  return {};
}

}  // namespace

std::string mounted_device(const fs::path& root, std::string_view point) {
  std::string out;
  std::istringstream lines(read_file(root / "proc/self/mountinfo").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, parent, device, inner, where;
    if (words >> id >> parent >> device >> inner >> where && where == point) out = device;
  }
  return out;
}

std::optional<std::string> sibling_partition(const fs::path& root, std::string_view device,
                                             std::string_view name) {
  std::error_code code;
  const auto own = fs::canonical(root / "sys/dev/block" / device, code);
  if (code || !fs::exists(own / "partition", code)) return std::nullopt;
  for (fs::directory_iterator it(own.parent_path(), code), end; !code && it != end;
       it.increment(code)) {
    std::error_code ignored;
    if (!fs::exists(it->path() / "partition", ignored)) continue;
    const auto uevent = read_file(it->path() / "uevent").value_or("");
    if (uevent_value(uevent, "PARTNAME") == name) return "/dev/" + uevent_value(uevent, "DEVNAME");
  }
  return std::nullopt;
}

}  // namespace bedplate::agent

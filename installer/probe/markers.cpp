#include "installer/probe/markers.hpp"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

#include "core/json.hpp"

namespace bedplate::installer {
namespace {

bool is_site_id(std::string_view text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string marker_text(const Marker& marker) {
  return Json{{"siteId", marker.site}, {"node", marker.node}}.dump() + "\n";
}

std::string mtools_drive(const std::filesystem::path& device, std::uint64_t offset) {
  return offset == 0 ? device.string() : fmt::format("{}@@{}", device.string(), offset);
}

std::optional<Marker> read_marker(const std::filesystem::path& device,
                                  const std::vector<ProbedPartition>& partitions,
                                  ProcessRunner& runner) {
  const auto esp = std::ranges::find(partitions, "BP-ESP", &ProbedPartition::label);
  if (esp == partitions.end()) return std::nullopt;
  const auto drive = mtools_drive(device, esp->start);
  const auto ask = [&](std::vector<std::string> argv) {
    Command command;
    command.argv = std::move(argv);
    command.environment = {{"MTOOLSRC", "/dev/null"}, {"MTOOLS_SKIP_CHECK", "1"}};
    return runner.run(command);
  };
  auto listing = ask({"mdir", "-b", "-i", drive, "::/bedplate/installed"});
  if (!listing || listing->status != 0) return std::nullopt;
  std::istringstream lines(listing->out);
  for (std::string line; std::getline(lines, line);) {
    const auto name = line.substr(line.rfind('/') + 1);
    if (!is_site_id(name)) continue;
    auto content = ask({"mtype", "-i", drive, "::/bedplate/installed/" + name});
    if (!content || content->status != 0) continue;
    auto json = parse_json(content->out, "marker");
    if (json && json_string_or(*json, "siteId", "") == name) {
      return Marker{name, json_string_or(*json, "node", "")};
    }
  }
  return std::nullopt;
}

}  // namespace bedplate::installer

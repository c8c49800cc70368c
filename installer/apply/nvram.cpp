#include "installer/apply/nvram.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>

#include <fmt/format.h>

namespace bedplate::installer {
namespace {

constexpr std::string_view kLoader = "\\EFI\\BOOT\\BOOTX64.EFI";

bool is_hex4(std::string_view text) {
  return text.size() >= 4 && std::ranges::all_of(text.substr(0, 4), [](unsigned char c) {
           return std::isxdigit(c) != 0;
         });
}

/// From "HD(2,GPT,8A1F…,0x1000,0x100000)": the third field, lower case.
std::string partition_of(std::string_view path) {
  const auto start = path.find(",GPT,");
  if (start == std::string_view::npos) return {};
  const auto rest = path.substr(start + 5);
  std::string out(rest.substr(0, rest.find(',')));
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

std::vector<BootEntry> parse_boot_entries(std::string_view output) {
  std::vector<BootEntry> out;
  std::istringstream lines{std::string(output)};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("Boot") || !is_hex4(std::string_view(line).substr(4))) continue;
    BootEntry entry;
    entry.number = line.substr(4, 4);
    if (line.size() < 10) continue;
    const auto rest = line.substr(10);  // behind '*' (active) or ' ', and a blank
    const auto tab = rest.find('\t');
    entry.label = rest.substr(0, tab);
    if (tab != std::string::npos) entry.partition = partition_of(rest.substr(tab + 1));
    out.push_back(std::move(entry));
  }
  return out;
}

Result<std::string> Nvram::find(std::string_view label, std::string_view partition) {
  BP_TRY(const auto output, runner_.check({"efibootmgr", "-v"}));
  for (const auto& entry : parse_boot_entries(output)) {
    if (entry.label == label && entry.partition == partition) return entry.number;
  }
  return std::string();
}

Result<void> Nvram::enter(std::string_view label, std::string_view disk,
                          std::string_view partition) {
  BP_TRY(const auto output, runner_.check({"efibootmgr", "-v"}));
  for (const auto& entry : parse_boot_entries(output)) {
    if (entry.label != label || entry.partition == partition) continue;
    BP_CHECK(runner_.check({"efibootmgr", "-q", "-b", entry.number, "-B"}));
  }
  BP_CHECK(runner_.check({"efibootmgr", "-q", "-c", "-d", std::string(disk), "-p", "2", "-L",
                          std::string(label), "-l", std::string(kLoader)}));
  return {};
}

Result<void> Nvram::boot_next(std::string_view number) {
  BP_CHECK(runner_.check({"efibootmgr", "-q", "-n", std::string(number)}));
  return {};
}

}  // namespace bedplate::installer

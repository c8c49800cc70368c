#include "installer/apply/boot_files.hpp"

#include <cctype>

#include <fmt/format.h>

#include "core/file.hpp"

namespace bedplate::installer {
namespace {

constexpr std::size_t kBlock = 1024;

bool is_name(std::string_view text) {
  return !text.empty() &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == std::string_view::npos;
}

std::string trim(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

Result<std::string> slot_config(const Plan& plan, const BootSources& sources) {
  BP_TRY(const auto text, read_file(sources.loader / "slot.cfg.in"));
  std::string arguments;
  std::error_code code;
  if (std::filesystem::exists(sources.medium / "kernel-args", code)) {
    BP_TRY(arguments, read_file(sources.medium / "kernel-args", 4096));
  }
  return fill_template(text, {{"SLOT", "a"},
                              {"ROOTHASH", plan.system.root_hash},
                              {"HASH_OFFSET", std::to_string(plan.system.hash_offset)},
                              {"PART_SYSTEM", plan.find("BP-SYSTEM-A")->uuid},
                              {"PART_STATE", plan.find("BP-STATE")->uuid},
                              {"SITE_ID", plan.site_id},
                              {"KERNEL_ARGS", trim(arguments)}});
}

}  // namespace

Result<std::string> grub_environment(
    const std::vector<std::pair<std::string, std::string>>& variables) {
  std::string out = "# GRUB Environment Block\n";
  for (const auto& [name, value] : variables) out += fmt::format("{}={}\n", name, value);
  if (out.size() > kBlock) {
    return fail(ErrorKind::internal, "the boot environment does not fit into 1024 bytes");
  }
  out.resize(kBlock, '#');
  return out;
}

Result<std::string> fill_template(std::string_view text,
                                  const std::map<std::string, std::string, std::less<>>& values) {
  std::string out;
  for (std::size_t line_start = 0; line_start < text.size();) {
    auto line_end = text.find('\n', line_start);
    line_end = line_end == std::string_view::npos ? text.size() : line_end + 1;
    auto line = text.substr(line_start, line_end - line_start);
    line_start = line_end;
    if (line.starts_with('#')) {  // comments explain the placeholders
      continue;
    }
    while (!line.empty()) {
      const auto open = line.find('@');
      const auto close = open == std::string_view::npos ? open : line.find('@', open + 1);
      if (close == std::string_view::npos || !is_name(line.substr(open + 1, close - open - 1))) {
        const auto keep = open == std::string_view::npos ? line.size() : open + 1;
        out += line.substr(0, keep);
        line.remove_prefix(keep);
        continue;
      }
      const auto value = values.find(line.substr(open + 1, close - open - 1));
      if (value == values.end()) {
        return fail(ErrorKind::invalid, fmt::format("the boot template asks for {}, which this "
                                                    "program does not know",
                                                    line.substr(open, close - open + 1)));
      }
      out += line.substr(0, open);
      out += value->second;
      line.remove_prefix(close + 1);
    }
  }
  return out;
}

std::vector<std::string> esp_folders() {
  return {"/EFI",        "/EFI/BOOT",   "/EFI/debian",        "/bedplate",
          "/bedplate/a", "/bedplate/b", "/bedplate/installed"};
}

Result<std::vector<EspFile>> esp_files(const Plan& plan, const BootSources& sources) {
  BP_TRY_DURING(auto slot, "filling in slot.cfg", slot_config(plan, sources));
  BP_TRY(auto environment,
         grub_environment(
             {{"ORDER", "a b"}, {"A_OK", "1"}, {"A_TRY", "0"}, {"B_OK", "0"}, {"B_TRY", "0"}}));
  BP_TRY(auto last_good, grub_environment({{"LASTGOOD", "a"}}));
  return std::vector<EspFile>{{"/EFI/BOOT/BOOTX64.EFI", sources.loader / "shimx64.efi", {}},
                              {"/EFI/BOOT/grubx64.efi", sources.loader / "grubx64.efi", {}},
                              {"/EFI/BOOT/mmx64.efi", sources.loader / "mmx64.efi", {}},
                              {"/EFI/debian/grub.cfg", sources.loader / "installed.cfg", {}},
                              {"/EFI/debian/boot.env", {}, environment},
                              {"/EFI/debian/boot2.env", {}, environment},
                              {"/EFI/debian/lastgood.env", {}, std::move(last_good)},
                              {"/bedplate/a/vmlinuz", sources.medium / "boot/vmlinuz", {}},
                              {"/bedplate/a/initrd.img", sources.medium / "boot/initrd.img", {}},
                              {"/bedplate/a/slot.cfg", {}, std::move(slot)}};
}

}  // namespace bedplate::installer

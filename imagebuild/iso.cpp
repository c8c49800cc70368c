#include "imagebuild/iso.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/file.hpp"
#include "imagebuild/bundle_check.hpp"
#include "imagebuild/embedded.hpp"
#include "imagebuild/kernel_line.hpp"

namespace bedplate::image {
namespace fs = std::filesystem;

namespace {

/// El Torito counts 512-byte sectors in 16 bits, so the ESP image has to stay under 32 MiB.
constexpr std::uintmax_t kEspSize = 8ULL << 20;
constexpr std::string_view kEspType = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

/// The boot loader's files come out of the image itself: a system folder is all that is needed.
Result<fs::path> unpack_boot(const Workshop& shop, const SystemFolder& system,
                             const fs::path& scratch) {
  const auto to = scratch / "loader";
  BP_CHECK_DURING(
      "taking the boot loader out of the system image",
      shop.runner.check({shop.tools["unsquashfs"], "-no-progress", "-quiet", "-no-xattrs", "-dest",
                         to.string(), system.image().string(), "usr/lib/bedplate/boot"}));
  return to / "usr/lib/bedplate/boot";
}

Result<fs::path> make_esp(const Workshop& shop, const fs::path& boot, std::string_view uuid,
                          const fs::path& scratch) {
  auto esp = scratch / "esp.img";
  BP_CHECK(write_file_atomic(esp, ""));
  std::error_code error;
  fs::resize_file(esp, kEspSize, error);
  if (error) return fail(ErrorKind::io, "cannot size " + esp.string() + ": " + error.message());
  BP_TRY(const auto config, medium_esp_config(uuid));
  BP_CHECK(write_file_atomic(scratch / "esp.cfg", config));
  const auto run = [&](std::vector<std::string> argv) {
    argv.insert(argv.begin() + 1, {"-i", esp.string()});
    return shop.runner.check(std::move(argv));
  };
  BP_CHECK(run({shop.tools["mformat"], "-v", "BEDPLATEEFI", "::"}));
  BP_CHECK(run({shop.tools["mmd"], "::/EFI", "::/EFI/BOOT", "::/boot", "::/boot/grub"}));
  const std::vector<std::pair<fs::path, std::string>> copies = {
      {boot / "shimx64.efi", "::/EFI/BOOT/BOOTX64.EFI"},
      {boot / "gcdx64.efi", "::/EFI/BOOT/grubx64.efi"},
      {boot / "mmx64.efi", "::/EFI/BOOT/mmx64.efi"},
      {scratch / "esp.cfg", "::/boot/grub/grub.cfg"}};
  for (const auto& [from, to] : copies) {
    BP_CHECK(run({shop.tools["mcopy"], from.string(), to}));
  }
  return esp;
}

/// Writes the small files of the medium below `scratch` and names all files of it.
Result<std::vector<Graft>> collect(const IsoOptions& options, const SystemFolder& system,
                                   std::string_view uuid, const fs::path& scratch) {
  std::vector<Graft> grafts = {{"/bedplate/system.img", system.image()},
                               {"/bedplate/system.json", system.folder / "system.json"},
                               {"/bedplate/boot/vmlinuz", system.kernel()},
                               {"/bedplate/boot/initrd.img", system.initrd()},
                               {"/bedplate/site.bundle", options.bundle}};
  BP_TRY(const auto grub,
         medium_grub_config(system.info, options.site, uuid, options.kernel_arguments));
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"/bedplate/site.yaml", site_to_yaml(options.site)},
      {"/bedplate/enrolment.json", enrolment_to_json(options.enrolment)},
      {"/bedplate/site-id", options.site.id() + "\n"},
      {"/bedplate/kernel-args", fmt::format("{}\n", fmt::join(options.kernel_arguments, " "))},
      {"/boot/grub/grub.cfg", grub},
      {"/.disk/info", fmt::format("Bedplate {} {}\n", system.info.version, options.site.name)}};
  for (const auto& [path, text] : texts) {
    const auto file = scratch / ("text" + path);
    BP_CHECK(make_directories(file.parent_path()));
    BP_CHECK(write_file_atomic(file, text, 0600));
    grafts.push_back({path, file});
  }
  return grafts;
}

Result<std::uint64_t> total_size(const std::vector<Graft>& grafts) {
  std::uint64_t total = kEspSize;
  for (const auto& graft : grafts) {
    std::error_code error;
    total += fs::file_size(graft.file, error);
    if (error) {
      return fail(ErrorKind::not_found,
                  fmt::format("cannot read {}: {}", graft.file.string(), error.message()));
    }
  }
  return total;
}

Result<void> check_space(const fs::path& output, std::uint64_t needed) {
  const auto folder = output.has_parent_path() ? output.parent_path() : fs::path(".");
  BP_TRY(const auto free, free_space(folder));
  if (free >= needed) return {};
  return fail(ErrorKind::io,
              fmt::format("the medium needs {}, {} has {} free", format_bytes(needed),
                          folder.string(), format_bytes(free)),
              "write it to another file system with -o");
}

/// Site and system must name the same bundle key, or the installer would refuse the bundle on site.
Result<void> check_keys(const SystemInfo& system, const Site& site) {
  const std::set<std::string> accepted(system.bundle_keys.begin(), system.bundle_keys.end());
  for (const auto& key : site.trust.bundle_keys) {
    if (!accepted.contains(key.str())) {
      return fail(ErrorKind::untrusted,
                  fmt::format("the system image does not accept the site's bundle key {}",
                              key.fingerprint()),
                  "make the system image for this site: bedplate image system --site …");
    }
  }
  return {};
}

Result<void> run_xorriso(const Workshop& shop, std::vector<std::string> argv, std::uint64_t total) {
  Command command;
  command.argv = std::move(argv);
  command.timeout = std::chrono::hours{6};
  std::uint64_t done = 0;
  command.on_line = [&](std::string_view line) {
    const int share = parse_xorriso_progress(line);
    if (share < 0 || shop.progress == nullptr) return;
    const auto reached = total / 10000 * static_cast<std::uint64_t>(share);
    if (reached > done) shop.progress->advance(reached - done);
    done = std::max(done, reached);
  };
  if (shop.progress != nullptr) shop.progress->begin("Writing the medium", total);
  const auto ran = shop.runner.check(command);
  if (ran && shop.progress != nullptr && total > done) shop.progress->advance(total - done);
  shop.end();
  BP_CHECK(ran);
  return {};
}

}  // namespace

std::string medium_uuid(WallTime time) {
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}-{:02}-{:02}-{:02}-00", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

Result<std::string> medium_grub_config(const SystemInfo& system, const Site& site,
                                       std::string_view uuid,
                                       const std::vector<std::string>& kernel_arguments) {
  for (const auto& argument : kernel_arguments) BP_CHECK(check_kernel_argument(argument));
  BP_TRY(const auto text, embedded("boot/iso.cfg.in"));
  const auto title =
      fmt::format("Install this machine for site {} (Bedplate {}){}", site.name, system.version,
                  system.debug_console ? " - DEBUG CONSOLE ENABLED" : "");
  return render(text, {{"MEDIUM_UUID", std::string(uuid)},
                       {"SITE_ID", site.id()},
                       {"SITE_NAME", site.name},
                       {"TITLE", title},
                       {"KERNEL_LINE", live_kernel_line(system.verity, uuid, kernel_arguments)}});
}

Result<std::string> medium_esp_config(std::string_view uuid) {
  BP_TRY(const auto text, embedded("boot/iso-esp.cfg.in"));
  return render(text, {{"MEDIUM_UUID", std::string(uuid)}});
}

std::vector<std::string> xorriso_command(std::string_view xorriso, std::string_view uuid,
                                         const fs::path& boot, const fs::path& esp,
                                         const std::vector<Graft>& grafts, const fs::path& output) {
  std::string date(uuid);
  std::erase(date, '-');
  std::vector<std::string> argv = {
      std::string(xorriso),
      "-as",
      "mkisofs",
      "-r",  // everything readable, owned by root
      "-volid",
      "BEDPLATE",
      "-iso-level",
      "3",  // files over 4 GiB
      "--modification-date=" + date,
      "--grub2-mbr",
      (boot / "bios/boot_hybrid.img").string(),
      "--mbr-force-bootable",
      "-partition_offset",
      "16",
      "-appended_part_as_gpt",
      "-append_partition",
      "2",
      std::string(kEspType),
      esp.string(),
      "-c",
      "/boot/boot.cat",
      "-b",
      "/boot/grub/eltorito.img",
      "-no-emul-boot",
      "-boot-load-size",
      "4",
      "-boot-info-table",
      "--grub2-boot-info",
      "-eltorito-alt-boot",
      "-e",
      "--interval:appended_partition_2:all::",
      "-no-emul-boot",
      "-o",
      output.string(),
      "-graft-points",
      "/boot/grub/eltorito.img=" + (boot / "bios/eltorito.img").string()};
  for (const auto& graft : grafts) argv.push_back(graft.path + "=" + graft.file.string());
  return argv;
}

int parse_xorriso_progress(std::string_view line) {
  const auto end = line.find("% done");
  if (end == std::string_view::npos) return -1;
  auto start = end;
  const auto numeric = [](char c) { return c == '.' || (c >= '0' && c <= '9'); };
  while (start > 0 && numeric(line[start - 1])) --start;
  if (start == end) return -1;
  const double percent = std::strtod(std::string(line.substr(start, end - start)).c_str(), nullptr);
  return static_cast<int>(std::clamp(std::lround(percent * 100), 0L, 10000L));
}

Result<IsoResult> make_iso(const Workshop& shop, const IsoOptions& options,
                           const fs::path& output) {
  BP_TRY(const auto system, read_system(options.system, true));
  BP_CHECK(check_installable(options.site));
  BP_CHECK(check_keys(system.info, options.site));
  BP_CHECK(check_bundle(options.bundle, options.site));
  IsoResult result;
  result.uuid = medium_uuid(options.now);
  BP_TRY(const auto scratch, TemporaryDirectory::create("bedplate-iso"));
  BP_TRY(const auto boot, unpack_boot(shop, system, scratch.path()));
  BP_TRY(const auto esp, make_esp(shop, boot, result.uuid, scratch.path()));
  BP_TRY(const auto grafts, collect(options, system, result.uuid, scratch.path()));
  BP_TRY(const auto total, total_size(grafts));
  BP_CHECK(check_space(output, total + (4ULL << 20)));
  BP_TRY(auto file, AtomicFile::create(output, 0600));
  BP_CHECK_DURING("writing " + output.string(),
                  run_xorriso(shop,
                              xorriso_command(shop.tools["xorriso"], result.uuid, boot, esp, grafts,
                                              file.temporary_path()),
                              total));
  BP_CHECK(file.commit());
  std::error_code error;
  result.file = output;
  result.size = fs::file_size(output, error);
  return result;
}

}  // namespace bedplate::image

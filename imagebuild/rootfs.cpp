#include "imagebuild/rootfs.hpp"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>

#include "core/file.hpp"
#include "core/json.hpp"
#include "imagebuild/closure.hpp"
#include "imagebuild/key.hpp"

namespace bedplate::image {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kFormat = "rootfs 1";
constexpr std::string_view kUnits = "/usr/lib/systemd/system/";
constexpr std::string_view kWants = "/etc/systemd/system/multi-user.target.wants/";

Error io_error(const fs::path& path, const std::error_code& error) {
  return Error(ErrorKind::io, fmt::format("cannot write {}: {}", path.string(), error.message()));
}

/// Writes a file that may be a hard link into the base: the old one is unlinked, never written to.
Result<void> put(const fs::path& path, std::string_view content, unsigned mode) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (!error) fs::remove(path, error);
  if (error) return fail(io_error(path, error));
  std::ofstream out(path, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  if (!out) return fail(ErrorKind::io, "cannot write " + path.string());
  fs::permissions(path, fs::perms{mode}, error);
  if (error) return fail(io_error(path, error));
  return {};
}

/// The base must not hold a link on the way to `path`: writing through it would leave the tree.
Result<void> put_link(const fs::path& root, const Link& link) {
  const fs::path path = root / link.path.substr(1);
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (!error) fs::remove_all(path, error);
  if (!error) fs::create_symlink(link.target, path, error);
  if (error) return fail(io_error(path, error));
  return {};
}

/// A copy without debug sections; a plain copy when binutils is not there.
Result<void> put_program(const Workshop& shop, const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  if (const auto strip = find_program("strip", "binutils")) {
    BP_CHECK(shop.runner.check({strip->string(), "--strip-unneeded", "-o", to.string(),
                                fs::canonical(from, error).string()}));
  } else {
    fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  }
  if (!error) fs::permissions(to, fs::perms{0755}, error);
  if (error) return fail(io_error(to, error));
  return {};
}

/// The executable must start in the image: its loader, not ours, says what it finds.
Result<void> check_program(const Workshop& shop, const fs::path& root) {
  Command command;
  command.argv = shop.owning({shop.tools["chroot"], root.string(),
                              "/usr/lib64/ld-linux-x86-64.so.2", "--list", "/usr/bin/bedplate"});
  BP_TRY(const auto output, shop.runner.check(command));
  BP_CHECK(parse_ldd(output));
  return {};
}

Result<void> lay_over(const Workshop& shop, const RootfsSpec& spec, const Base& base,
                      const std::string& version, const fs::path& root) {
  BP_TRY(const auto folders, embedded("folders"));
  std::error_code error;
  for (const auto& folder : parse_list(folders)) {
    fs::create_directories(root / folder.substr(1), error);
    if (error) return fail(io_error(root / folder.substr(1), error));
  }
  BP_TRY(const auto files, image_files(spec, base, version));
  for (const auto& file : files) BP_CHECK(put(root / file.path.substr(1), file.content, file.mode));
  BP_TRY(const auto links, image_links(spec));
  for (const auto& link : links) BP_CHECK(put_link(root, link));
  BP_CHECK(put_program(shop, spec.program, root / "usr/bin/bedplate"));
  for (const auto& library : spec.libraries) {
    BP_CHECK(put_program(shop, library, root / "usr/lib/bedplate/lib" / library.filename()));
  }
  return check_program(shop, root);
}

std::string image_json(const RootfsSpec& spec, const Base& base, const std::string& version) {
  Json keys = Json::array();
  for (const auto& key : spec.bundle_keys) keys.push_back(key.str());
  return Json{{"version", version},
              {"kernelVersion", base.kernel_version},
              {"builtAt", format_rfc3339(spec.built_at)},
              {"bundleKeys", keys},
              {"debugConsole", spec.debug_console}}
             .dump(2) +
         "\n";
}

}  // namespace

std::string image_version(const std::string& key) {
  return fmt::format("{}-{}", BEDPLATE_VERSION, key.substr(0, 8));
}

std::string os_release(std::string_view of_base, const std::string& version) {
  std::string text = fmt::format("PRETTY_NAME=\"Bedplate {} (Debian 13)\"\n", version);
  for (const auto& line : parse_list(of_base)) {
    if (!line.starts_with("PRETTY_NAME=") && !line.starts_with("IMAGE_")) text += line + "\n";
  }
  return text + fmt::format("IMAGE_ID=bedplate\nIMAGE_VERSION={}\n", version);
}

std::string banner(const RootfsSpec& spec, const Base& base, const std::string& version) {
  auto text = fmt::format("\nBedplate {} (Debian 13, kernel {})\n", version, base.kernel_version);
  for (const auto& key : spec.bundle_keys) {
    text += fmt::format("Accepts bundles signed by {}\n", key.fingerprint());
  }
  if (spec.debug_console) {
    text += "*** DEBUG CONSOLE ENABLED: whoever is at a console of this machine is root ***\n";
  }
  return text + "\n";
}

Result<std::vector<ImageFile>> image_files(const RootfsSpec& spec, const Base& base,
                                           const std::string& version) {
  std::vector<ImageFile> files;
  for (const auto& file : embedded_below("root/")) {
    files.push_back({fmt::format("/{}", file.path), std::string(file.content), mode_of(file)});
  }
  for (const std::string_view name : {"installed.cfg", "slot.cfg.in"}) {
    BP_TRY(const auto content, embedded(fmt::format("boot/{}", name)));
    files.push_back({fmt::format("/usr/lib/bedplate/boot/{}", name), std::string(content)});
  }
  BP_TRY(const auto give_up, embedded("dracut/90bedplate/give-up.sh"));
  files.push_back({"/usr/lib/bedplate/give-up", std::string(give_up), 0755});
  std::string keys;
  for (const auto& key : spec.bundle_keys) keys += key.str() + "\n";
  files.push_back({"/usr/lib/bedplate/trust/bundle-keys", keys});
  files.push_back({"/usr/lib/bedplate/banner", banner(spec, base, version)});
  files.push_back({"/usr/lib/bedplate/image.json", image_json(spec, base, version)});
  // PID 1 raises the clock to this file's time when the machine's clock is behind it.
  files.push_back({"/usr/lib/clock-epoch", ""});
  files.push_back({"/etc/machine-id", "", 0444});
  BP_TRY(const auto release, read_file(base.root() / "usr/lib/os-release"));
  files.push_back({"/usr/lib/os-release", os_release(release, version)});
  return files;
}

Result<std::vector<Link>> image_links(const RootfsSpec& spec) {
  BP_TRY(const auto text, embedded("links"));
  BP_TRY(auto links, parse_links(text));
  if (!spec.debug_console) return links;
  const std::string serial = fmt::format("{}bedplate-console@ttyS0.service", kWants);
  std::erase_if(links, [&](const Link& link) { return link.path == serial; });
  for (const std::string_view terminal : {"ttyS0", "tty2"}) {
    links.push_back({fmt::format("{}bedplate-debug@{}.service", kWants, terminal),
                     fmt::format("{}bedplate-debug@.service", kUnits)});
  }
  return links;
}

Result<std::string> rootfs_key(const RootfsSpec& spec, const Base& base) {
  KeyBuilder key(kFormat);
  key.add("base", base.key);
  key.add("debug", spec.debug_console ? "yes" : "no");
  for (const auto& trusted : spec.bundle_keys) key.add("bundle-key", trusted.str());
  for (const auto& file : embedded_files()) {
    if (!file.path.starts_with("base/")) key.add(file.path, file.content);
  }
  BP_CHECK(key.add_file("program", spec.program));
  for (const auto& library : spec.libraries) {
    BP_CHECK(key.add_file(library.filename().string(), library));
  }
  return key.finish();
}

Result<Rootfs> make_rootfs(const Workshop& shop, const RootfsSpec& spec, const Base& base) {
  const auto remove = [&shop](const fs::path& folder) -> Result<void> {
    if (shop.root) return remove_tree(folder);
    BP_CHECK(shop.runner.check(shop.owning({"rm", "-rf", "--", folder.string()})));
    return {};
  };
  Rootfs rootfs;
  BP_TRY(rootfs.key, rootfs_key(spec, base));
  rootfs.version = image_version(rootfs.key);
  const auto make = [&](const fs::path& folder) -> Result<void> {
    shop.begin("Laying Bedplate over the base system");
    const auto root = folder / "root";
    BP_CHECK(shop.runner.check(shop.owning(
        {shop.tools["cp"], "--archive", "--link", base.root().string(), root.string()})));
    auto made = lay_over(shop, spec, base, rootfs.version, root);
    shop.end();
    return made;
  };
  const auto parent = shop.cache / "rootfs";
  BP_TRY_DURING(const auto folder, "making the root file system",
                cached(parent, rootfs.key, {make, remove}));
  // Hosts in namespaces run from such trees: keep more of them than of the images.
  BP_CHECK(prune(parent, 6, rootfs.key, {make, remove}));
  rootfs.root = folder / "root";
  return rootfs;
}

}  // namespace bedplate::image

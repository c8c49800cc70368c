#include "imagebuild/base.hpp"

#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/file.hpp"
#include "imagebuild/embedded.hpp"
#include "imagebuild/key.hpp"

namespace bedplate::image {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kFormat = "base 2";
constexpr std::string_view kKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The compiled-in files that make the base, as real files for mmdebstrap's hook.
Result<void> unpack_setup(const fs::path& folder) {
  for (const std::string_view part : {"base/", "dracut/"}) {
    for (const auto& file : embedded_below(part)) {
      const auto path = folder / part / file.path;
      BP_CHECK(make_directories(path.parent_path()));
      BP_CHECK(write_file_atomic(path, file.content, mode_of(file)));
    }
  }
  return {};
}

/// mmdebstrap and its hook say a lot; the lines that tell how far it is go to the screen.
void show_line(const Workshop& shop, std::string_view line) {
  if (line.starts_with("I: ") || line.starts_with("dracut")) shop.note(line);
}

Result<void> run_mmdebstrap(const Workshop& shop, const BaseSpec& spec, const fs::path& setup,
                            const fs::path& tar) {
  Command command;
  command.argv = mmdebstrap_command(shop, spec, setup, tar);
  command.input = sources_list(spec);
  command.environment = {{"INITRD", "No"},  // the kernel package shall not make one: the hook does
                         {"BEDPLATE_SETUP", setup.string()},
                         {"LC_ALL", "C.UTF-8"}};
  command.timeout = std::chrono::hours{2};
  command.on_line = [&shop](std::string_view line) { show_line(shop, line); };
  if (auto made = shop.runner.check(command); !made) {
    return fail(std::move(made).error().with_hint(fmt::format(
        "check that {} can be reached; on a machine without network use --mirror", spec.mirror)));
  }
  return {};
}

Result<void> move_out(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (!error) fs::permissions(to, fs::perms{0644}, error);
  if (error) {
    return fail(ErrorKind::io, fmt::format("cannot move {} to {}: {}", from.string(), to.string(),
                                           error.message()));
  }
  return {};
}

Result<void> build(const Workshop& shop, const BaseSpec& spec, const fs::path& folder) {
  BP_TRY(const auto scratch, TemporaryDirectory::create("bedplate-base"));
  // In a user namespace the hook runs as another user, who has to get at its files.
  std::error_code error;
  fs::permissions(scratch.path(), fs::perms{0755}, error);
  BP_CHECK(unpack_setup(scratch.path() / "setup"));
  const auto tar = folder / "root.tar";
  BP_CHECK(run_mmdebstrap(shop, spec, scratch.path() / "setup", tar));
  const auto root = folder / "root";
  BP_CHECK(make_directories(root));
  // Device nodes are not for a user to make, and every kernel that starts makes its own.
  BP_CHECK(shop.runner.check(shop.owning({shop.tools["tar"], "--extract", "--preserve-permissions",
                                          "--xattrs", "--xattrs-include=*", "--exclude=./dev/*",
                                          "--file", tar.string(), "--directory", root.string()})));
  fs::remove(tar, error);
  BP_CHECK(move_out(root / "boot/vmlinuz", folder / "vmlinuz"));
  BP_CHECK(move_out(root / "boot/initrd.img", folder / "initrd.img"));
  return {};
}

}  // namespace

Result<BaseSpec> default_base_spec() {
  BaseSpec spec;
  BP_TRY(const auto packages, embedded("base/packages"));
  BP_TRY(const auto excludes, embedded("base/path-excludes"));
  spec.packages = parse_list(packages);
  spec.path_excludes = parse_list(excludes);
  return spec;
}

std::string base_key(const BaseSpec& spec) {
  KeyBuilder key(kFormat);
  key.add("suite", spec.suite);
  key.add("mirror", spec.mirror);
  key.add("security", spec.security_mirror);
  for (const auto& package : spec.packages) key.add("package", package);
  for (const auto& pattern : spec.path_excludes) key.add("exclude", pattern);
  for (const std::string_view part : {"base/finish.sh", "dracut/"}) {
    for (const auto& file : embedded_below(part)) {
      key.add(fmt::format("{}{}", part, file.path), file.content);
    }
  }
  return key.finish();
}

std::string sources_list(const BaseSpec& spec) {
  constexpr std::string_view kLine = "deb [signed-by={}] {} {} main non-free-firmware\n";
  return fmt::format(fmt::runtime(kLine), kKeyring, spec.mirror, spec.suite) +
         fmt::format(fmt::runtime(kLine), kKeyring, spec.mirror, spec.suite + "-updates") +
         fmt::format(fmt::runtime(kLine), kKeyring, spec.security_mirror, spec.suite + "-security");
}

std::vector<std::string> mmdebstrap_command(const Workshop& shop, const BaseSpec& spec,
                                            const fs::path& setup, const fs::path& tar) {
  std::vector<std::string> argv = {shop.tools["mmdebstrap"],
                                   shop.root ? "--mode=root" : "--mode=unshare",
                                   "--variant=apt",
                                   fmt::format("--include={}", fmt::join(spec.packages, ",")),
                                   "--aptopt=APT::Install-Recommends \"false\"",
                                   "--aptopt=Acquire::Languages \"none\"",
                                   "--aptopt=Acquire::Retries \"3\""};
  for (const auto& pattern : spec.path_excludes) {
    argv.push_back("--dpkgopt=path-exclude=" + pattern);
  }
  // The hook has taken apt's files away already, which mmdebstrap's own cleaning expects.
  argv.insert(argv.end(), {"--customize-hook=" + (setup / "base/finish.sh").string(),
                           "--skip=cleanup", "--format=tar", spec.suite, tar.string(), "-"});
  return argv;
}

Result<Base> make_base(const Workshop& shop, const BaseSpec& spec, bool refresh) {
  const auto parent = shop.cache / "base";
  const auto remove = [&shop](const fs::path& folder) -> Result<void> {
    if (shop.root) return remove_tree(folder);
    BP_CHECK(shop.runner.check(shop.owning({"rm", "-rf", "--", folder.string()})));
    return {};
  };
  Base base;
  base.key = base_key(spec);
  if (refresh) BP_CHECK(remove(parent / base.key));
  const auto make = [&](const fs::path& folder) -> Result<void> {
    shop.begin("Making the base system from Debian packages");
    auto built = build(shop, spec, folder);
    shop.end();
    return built;
  };
  BP_TRY_DURING(base.folder, "making the base system", cached(parent, base.key, {make, remove}));
  BP_CHECK(prune(parent, 2, base.key, {make, remove}));
  BP_TRY(auto version, read_file(base.root() / "usr/lib/bedplate/kernel-version"));
  while (version.ends_with('\n')) version.pop_back();
  base.kernel_version = version;
  return base;
}

}  // namespace bedplate::image

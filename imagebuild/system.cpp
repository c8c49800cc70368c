#include "imagebuild/system.hpp"

#include <array>

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "imagebuild/closure.hpp"
#include "imagebuild/key.hpp"

namespace bedplate::image {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kFormat = "image 1";

Result<std::uint64_t> size_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) {
    return fail(
        error == std::errc::no_such_file_or_directory ? ErrorKind::not_found : ErrorKind::io,
        fmt::format("cannot read {}: {}", path.string(), error.message()));
  }
  return size;
}

Result<void> squash(const Workshop& shop, const fs::path& root, const fs::path& image, int level) {
  Command command;
  command.argv = shop.owning({shop.tools["mksquashfs"], root.string(), image.string(), "-comp",
                              "zstd", "-Xcompression-level", fmt::format("{}", level), "-noappend",
                              "-no-progress", "-quiet"});
  command.timeout = std::chrono::hours{1};
  BP_CHECK_DURING("compressing the root file system", shop.runner.check(command));
  return {};
}

Result<void> copy_whole(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  if (!error) fs::permissions(to, fs::perms{0644}, error);
  if (!error) return {};
  return fail(ErrorKind::io,
              fmt::format("cannot copy {} to {}: {}", from.string(), to.string(), error.message()));
}

struct ImageInput {
  const SystemOptions& options;
  const Base& base;
  const Rootfs& rootfs;
};

Result<void> build_image(const Workshop& shop, const ImageInput& in, const fs::path& folder) {
  const auto image = folder / "system.img";
  BP_CHECK(squash(shop, in.rootfs.root, image, in.options.compression));
  SystemInfo info;
  BP_TRY(info.verity, append_verity(shop, image));
  BP_TRY(info.size, size_of(image));
  BP_TRY(const auto digest, digest_file(image));
  info.sha256 = digest.hex();
  info.version = in.rootfs.version;
  info.kernel_version = in.base.kernel_version;
  info.built_at = format_rfc3339(in.options.now);
  for (const auto& key : in.options.bundle_keys) info.bundle_keys.push_back(key.str());
  info.debug_console = in.options.debug_console;
  BP_CHECK(copy_whole(in.base.kernel(), folder / "vmlinuz"));
  BP_CHECK(copy_whole(in.base.initrd(), folder / "initrd.img"));
  return write_file_atomic(folder / "system.json", info.to_json().dump(2) + "\n");
}

Result<SystemFolder> make_image(const Workshop& shop, const ImageInput& in) {
  KeyBuilder key(kFormat);
  key.add("rootfs", in.rootfs.key);
  key.add("compression", fmt::format("{}", in.options.compression));
  const auto name = key.finish();
  const auto parent = shop.cache / "image";
  const CacheActions actions{[&](const fs::path& folder) -> Result<void> {
                               shop.begin("Compressing the system image");
                               auto built = build_image(shop, in, folder);
                               shop.end();
                               return built;
                             },
                             [](const fs::path& folder) { return remove_tree(folder); }};
  BP_TRY_DURING(const auto folder, "making the system image", cached(parent, name, actions));
  BP_CHECK(prune(parent, 3, name, actions));
  return read_system(folder, false);
}

/// Copies the cached image to the output folder, system.json last.
Result<SystemFolder> deliver(const SystemFolder& cached_image, const fs::path& output) {
  if (auto present = read_system(output, false); present && present->info == cached_image.info) {
    return *present;
  }
  BP_CHECK(make_directories(output));
  BP_CHECK(remove_tree(output / "system.json"));
  for (const std::string_view name : {"system.img", "vmlinuz", "initrd.img", "system.json"}) {
    BP_TRY(auto file, AtomicFile::create(output / name));
    BP_CHECK(copy_whole(cached_image.folder / name, file.temporary_path()));
    BP_CHECK(file.commit());
  }
  return read_system(output, false);
}

/// `output/rootfs` → the unpacked tree in the cache.
Result<void> link_rootfs(const fs::path& output, const fs::path& root) {
  const auto link = output / "rootfs";
  std::error_code error;
  if (fs::is_symlink(link, error)) fs::remove(link, error);
  fs::create_directory_symlink(root, link, error);
  if (error) {
    return fail(ErrorKind::io, fmt::format("cannot link {}: {}", link.string(), error.message()));
  }
  return {};
}

}  // namespace

bool operator==(const SystemInfo& a, const SystemInfo& b) {
  return a.to_json() == b.to_json();
}

Json SystemInfo::to_json() const {
  return Json{{"version", version},
              {"rootHash", verity.root_hash},
              {"hashOffset", verity.hash_offset},
              {"size", size},
              {"sha256", sha256},
              {"kernelVersion", kernel_version},
              {"builtAt", built_at},
              {"bundleKeys", bundle_keys},
              {"debugConsole", debug_console}};
}

Result<SystemInfo> SystemInfo::from_json(const Json& json) {
  SystemInfo info;
  BP_TRY(info.version, json_string(json, "version"));
  BP_TRY(const auto root_hash, json_string(json, "rootHash"));
  BP_TRY(info.verity.root_hash, parse_root_hash(root_hash));
  BP_TRY(info.verity.hash_offset, json_uint(json, "hashOffset"));
  BP_TRY(info.size, json_uint(json, "size"));
  BP_TRY(info.sha256, json_string(json, "sha256"));
  BP_TRY(info.kernel_version, json_string(json, "kernelVersion"));
  BP_TRY(info.built_at, json_string(json, "builtAt"));
  if (const auto keys = json.find("bundleKeys"); keys != json.end() && keys->is_array()) {
    for (const auto& key : *keys) {
      if (key.is_string()) info.bundle_keys.push_back(key.get<std::string>());
    }
  }
  const auto debug = json.find("debugConsole");
  info.debug_console = debug != json.end() && debug->is_boolean() && debug->get<bool>();
  return info;
}

Result<SystemFolder> read_system(const fs::path& folder, bool deep) {
  const auto doing = fmt::format("reading the system in {}", folder.string());
  SystemFolder system;
  system.folder = folder;
  BP_TRY_DURING(const auto json, doing, read_json(folder / "system.json"));
  BP_TRY_DURING(system.info, doing, SystemInfo::from_json(json));
  BP_TRY_DURING(const auto size, doing, size_of(system.image()));
  BP_CHECK_DURING(doing, size_of(system.kernel()));
  BP_CHECK_DURING(doing, size_of(system.initrd()));
  std::string wrong;
  if (size != system.info.size) {
    wrong = fmt::format("system.img has {} bytes, system.json says {}", size, system.info.size);
  } else if (deep) {
    BP_TRY_DURING(const auto digest, doing, digest_file(system.image()));
    if (digest.hex() != system.info.sha256) wrong = "system.img is not what system.json describes";
  }
  if (wrong.empty()) return system;
  return fail(Error(ErrorKind::corrupt, wrong)
                  .during(doing)
                  .with_hint("bedplate image system -o " + folder.string()));
}

Result<SystemResult> make_system(const Workshop& shop, const SystemOptions& options,
                                 const fs::path& output) {
  BP_TRY(const auto base, make_base(shop, options.base, options.refresh));
  RootfsSpec spec;
  spec.program = options.program;
  spec.bundle_keys = options.bundle_keys;
  spec.debug_console = options.debug_console;
  spec.built_at = options.now;
  BP_TRY(spec.libraries, library_closure(shop.runner, shop.tools["ldd"], options.program));
  BP_TRY(const auto rootfs, make_rootfs(shop, spec, base));
  BP_TRY(const auto image, make_image(shop, {options, base, rootfs}));
  SystemResult result;
  BP_TRY_DURING(result.system, "writing " + output.string(), deliver(image, output));
  result.root = rootfs.root;
  BP_CHECK(link_rootfs(output, rootfs.root));
  return result;
}

}  // namespace bedplate::image

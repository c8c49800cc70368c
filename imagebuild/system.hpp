#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"
#include "imagebuild/rootfs.hpp"
#include "imagebuild/tools.hpp"
#include "imagebuild/verity.hpp"

namespace bedplate::image {

/// system.json: what there is to know about a system.img without opening it.
struct SystemInfo {
  std::string version;
  Verity verity;
  std::uint64_t size = 0;  ///< bytes of system.img, hash tree included
  std::string sha256;      ///< hex digest of system.img
  std::string kernel_version;
  std::string built_at;  ///< RFC 3339
  std::vector<std::string> bundle_keys;
  bool debug_console = false;

  nlohmann::json to_json() const;
  static Result<SystemInfo> from_json(const nlohmann::json& json);
  friend bool operator==(const SystemInfo&, const SystemInfo&);
};

/// A folder with system.img, system.json, vmlinuz and initrd.img.
struct SystemFolder {
  std::filesystem::path folder;
  SystemInfo info;

  std::filesystem::path image() const { return folder / "system.img"; }
  std::filesystem::path kernel() const { return folder / "vmlinuz"; }
  std::filesystem::path initrd() const { return folder / "initrd.img"; }
};

/// Reads and checks one: all files there, sizes as system.json says. With `deep` the digest too.
Result<SystemFolder> read_system(const std::filesystem::path& folder, bool deep);

struct SystemOptions {
  BaseSpec base;
  std::filesystem::path program;  ///< the bedplate executable that goes into the image
  std::vector<PublicKey> bundle_keys;
  bool debug_console = false;
  bool refresh = false;  ///< fetch the packages anew
  int compression = 9;   ///< zstd level of the squashfs, 1 to 22
  WallTime now{};
};

struct SystemResult {
  SystemFolder system;         ///< in the output folder
  std::filesystem::path root;  ///< the same root file system, unpacked, in the cache
};

/// Makes a system in `output` by way of the cache. Repeated with the same input it only compares;
/// interrupted, it leaves the output folder as it was or with whole files of which system.json,
/// written last, tells which belong together.
Result<SystemResult> make_system(const Workshop& shop, const SystemOptions& options,
                                 const std::filesystem::path& output);

}  // namespace bedplate::image

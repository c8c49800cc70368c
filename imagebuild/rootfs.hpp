#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"
#include "imagebuild/base.hpp"
#include "imagebuild/embedded.hpp"
#include "imagebuild/tools.hpp"

namespace bedplate::image {

/// What is laid over the base to make a system.
struct RootfsSpec {
  std::filesystem::path program;                 ///< the bedplate executable that goes in
  std::vector<std::filesystem::path> libraries;  ///< its closure, without glibc
  std::vector<PublicKey> bundle_keys;            ///< whose bundles this system accepts
  bool debug_console = false;                    ///< root shells on ttyS0 and tty2
  WallTime built_at{};                           ///< not part of the key
};

/// A file of the image that is written out (as opposed to copied from the building machine).
struct ImageFile {
  std::string path;  ///< absolute in the image
  std::string content;
  unsigned mode = 0644;
};

/// "0.1.0-1a2b3c4d": our version and the start of the key.
std::string image_version(const std::string& key);

/// Everything written, and every link, in the order in which it is put down.
Result<std::vector<ImageFile>> image_files(const RootfsSpec& spec, const Base& base,
                                           const std::string& version);
Result<std::vector<Link>> image_links(const RootfsSpec& spec);

/// os-release(5) with the base's fields replaced or followed by ours.
std::string os_release(std::string_view of_base, const std::string& version);

/// Shown on the consoles at each start: version, fingerprints, and a warning in a debug image.
std::string banner(const RootfsSpec& spec, const Base& base, const std::string& version);

struct Rootfs {
  std::string key;
  std::string version;
  std::filesystem::path root;  ///< the unpacked root file system; must not be changed
};

Result<std::string> rootfs_key(const RootfsSpec& spec, const Base& base);

/// Makes the tree or finds it in the cache. The files of the base are shared by hard links. Checks
/// by the image's own loader that the executable finds all its libraries.
Result<Rootfs> make_rootfs(const Workshop& shop, const RootfsSpec& spec, const Base& base);

}  // namespace bedplate::image

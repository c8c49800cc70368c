#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "imagebuild/tools.hpp"

namespace bedplate::image {

/// What the base is made of. Defaults are Debian's servers; a mirror may be named.
struct BaseSpec {
  std::string suite = "trixie";
  std::string mirror = "http://deb.debian.org/debian";
  std::string security_mirror = "http://deb.debian.org/debian-security";
  std::vector<std::string> packages;
  std::vector<std::string> path_excludes;  ///< dpkg's path-exclude patterns
};

/// With the package and exclusion lists that are compiled in.
Result<BaseSpec> default_base_spec();

/// Names the base: everything in the spec and every compiled-in file that takes part in making it.
std::string base_key(const BaseSpec& spec);

/// sources.list(5) for the spec: the suite, its updates and its security updates.
std::string sources_list(const BaseSpec& spec);

/// The base root file system, with kernel and initrd beside it.
struct Base {
  std::string key;
  std::filesystem::path folder;  ///< holds root/, vmlinuz, initrd.img
  std::string kernel_version;

  std::filesystem::path root() const { return folder / "root"; }
  std::filesystem::path kernel() const { return folder / "vmlinuz"; }
  std::filesystem::path initrd() const { return folder / "initrd.img"; }
};

/// The mmdebstrap command line that writes `tar`; `setup` holds the unpacked compiled-in files.
std::vector<std::string> mmdebstrap_command(const Workshop& shop, const BaseSpec& spec,
                                            const std::filesystem::path& setup,
                                            const std::filesystem::path& tar);

/// Fetches and unpacks the packages and makes the initrd, or finds all that in the cache. About a
/// minute and 500 MB of the network when it is not there. With `refresh` it is made anew, for the
/// security updates of the day.
Result<Base> make_base(const Workshop& shop, const BaseSpec& spec, bool refresh);

}  // namespace bedplate::image

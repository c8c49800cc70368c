#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace bedplate {

/// What a command will write, before it writes anything.
struct SpaceNeed {
  std::filesystem::path folder;    ///< need not exist yet
  std::uint64_t bytes = 0;         ///< more than is there now, at the worst moment
  std::uint64_t largest_file = 0;  ///< bytes; some file systems have a limit
  std::string what;                ///< for people: "site.bundle"
};

struct FileSystem {
  std::uint64_t id = 0;    ///< the same for all folders of one file system
  std::uint64_t free = 0;  ///< bytes that an unprivileged writer may use
  std::uint64_t longest_file = ~std::uint64_t{0};
};
/// Of a folder, or of the closest one above it that exists. FAT is known to end at 4 GiB - 1.
Result<FileSystem> probe_file_system(const std::filesystem::path& folder);

/// All needs of one file system together.
struct SpaceUse {
  std::filesystem::path folder;  ///< the first one that was named
  std::uint64_t needed = 0;      ///< bytes
  std::uint64_t free = 0;        ///< bytes
  std::uint64_t largest_file = 0;
  std::uint64_t longest_file = ~std::uint64_t{0};  ///< that the file system can hold
  bool enough() const { return needed <= free && largest_file <= longest_file; }
};

using FileSystemProbe = std::function<Result<FileSystem>(const std::filesystem::path&)>;

/// In the order of the needs. Needs on the same file system are added up.
Result<std::vector<SpaceUse>> measure_space(const std::vector<SpaceNeed>& needs,
                                            const FileSystemProbe& probe = probe_file_system);
/// ErrorKind::io when there is not room enough, unsupported when a file system cannot hold a file
/// as long as one of these. Better a refusal now than a full disk in an hour.
Result<void> require_space(const std::vector<SpaceUse>& uses);
/// A line for each file system.
std::string space_text(const std::vector<SpaceUse>& uses);

}  // namespace bedplate

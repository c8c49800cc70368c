#include "core/space.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "core/file.hpp"
#include "core/progress.hpp"

namespace bedplate {

Result<FileSystem> probe_file_system(const std::filesystem::path& folder) {
  auto place = std::filesystem::absolute(folder).lexically_normal();
  std::error_code code;
  while (!std::filesystem::exists(place, code) && place.has_relative_path()) {
    place = place.parent_path();
  }
  struct stat info{};
  struct statfs system{};
  if (::stat(place.c_str(), &info) != 0 || ::statfs(place.c_str(), &system) != 0) {
    return fail(system_error(errno, "cannot ask for the file system of " + place.string()));
  }
  FileSystem out;
  out.id = static_cast<std::uint64_t>(info.st_dev);
  BP_TRY(out.free, free_space(place));
  if (system.f_type == MSDOS_SUPER_MAGIC) out.longest_file = (4ULL << 30) - 1;
  return out;
}

Result<std::vector<SpaceUse>> measure_space(const std::vector<SpaceNeed>& needs,
                                            const FileSystemProbe& probe) {
  std::vector<SpaceUse> out;
  std::map<std::uint64_t, std::size_t> places;
  for (const auto& need : needs) {
    BP_TRY(const auto system, probe(need.folder));
    const auto [place, added] = places.emplace(system.id, out.size());
    if (added) out.push_back({need.folder, 0, system.free, 0, system.longest_file});
    auto& use = out[place->second];
    use.needed += need.bytes;
    use.largest_file = std::max(use.largest_file, need.largest_file);
  }
  return out;
}

Result<void> require_space(const std::vector<SpaceUse>& uses) {
  for (const auto& use : uses) {
    if (use.largest_file > use.longest_file) {
      return fail(
          ErrorKind::unsupported,
          fmt::format("the file system of {} cannot hold a file of {}: it ends at {} bytes",
                      use.folder.string(), format_bytes(use.largest_file), use.longest_file),
          "`bedplate bundle split --size fat32` makes parts that fit, or format the medium "
          "with exFAT or ext4");
    }
    if (use.needed > use.free) {
      return fail(ErrorKind::io,
                  fmt::format("{} has {} free; {} are needed", use.folder.string(),
                              format_bytes(use.free), format_bytes(use.needed)),
                  "free space there, or write to another file system");
    }
  }
  return {};
}

std::string space_text(const std::vector<SpaceUse>& uses) {
  std::string out;
  for (const auto& use : uses) {
    out += fmt::format("{}: needs {}, free {}: {}\n", use.folder.string(), format_bytes(use.needed),
                       format_bytes(use.free), use.enough() ? "enough" : "not enough");
  }
  return out;
}

}  // namespace bedplate

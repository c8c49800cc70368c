#include "imagebuild/tools.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bedplate::image {

std::vector<Tool> system_tools(bool root) {
  std::vector<Tool> tools = {
      {"mmdebstrap", "mmdebstrap"},     {"tar", "tar"},      {"cp", "coreutils"},
      {"chroot", "coreutils"},          {"ldd", "libc-bin"}, {"mksquashfs", "squashfs-tools"},
      {"veritysetup", "cryptsetup-bin"}};
  if (!root) {
    tools.push_back({"unshare", "util-linux"});
    tools.push_back({"newuidmap", "uidmap"});
  }
  return tools;
}

std::vector<Tool> iso_tools() {
  return {{"xorriso", "xorriso"},
          {"unsquashfs", "squashfs-tools"},
          {"mformat", "mtools"},
          {"mmd", "mtools"},
          {"mcopy", "mtools"}};
}

Result<Toolbox> Toolbox::locate(std::span<const Tool> tools, const ProgramFinder& find) {
  Toolbox box;
  std::vector<std::string_view> missing;
  std::set<std::string_view> packages;
  for (const auto& tool : tools) {
    if (auto path = find(tool.name, tool.package)) {
      box.paths_.emplace(tool.name, path->string());
    } else {
      missing.push_back(tool.name);
      packages.insert(tool.package);
    }
  }
  if (missing.empty()) return box;
  return fail(ErrorKind::dependency,
              fmt::format("{} not found: {}", missing.size() == 1 ? "program" : "programs",
                          fmt::join(missing, ", ")),
              fmt::format("sudo apt-get install {}", fmt::join(packages, " ")));
}

std::string Toolbox::operator[](std::string_view name) const {
  const auto found = paths_.find(name);
  return found == paths_.end() ? std::string(name) : found->second;
}

std::vector<std::string> Workshop::owning(std::vector<std::string> argv) const {
  if (!root) {
    argv.insert(argv.begin(), {tools["unshare"], "--map-root-user", "--map-auto", "--"});
  }
  return argv;
}

void Workshop::begin(std::string_view title) const {
  if (progress != nullptr) progress->begin(title, 0);
}
void Workshop::note(std::string_view line) const {
  if (progress != nullptr) progress->note(line);
}
void Workshop::end() const {
  if (progress != nullptr) progress->end();
}

}  // namespace bedplate::image

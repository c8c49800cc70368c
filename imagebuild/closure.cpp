#include "imagebuild/closure.hpp"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bedplate::image {
namespace fs = std::filesystem;

namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<std::vector<fs::path>> parse_ldd(std::string_view output) {
  std::vector<fs::path> paths;
  std::vector<std::string_view> missing;
  while (!output.empty()) {
    const auto end = std::min(output.find('\n'), output.size());
    const auto line = trim(output.substr(0, end));
    output.remove_prefix(std::min(end + 1, output.size()));
    // "name => /path (0x…)", "/lib64/ld-linux… (0x…)", "linux-vdso.so.1 (0x…)" or
    // "name => not found"
    const auto arrow = line.find(" => ");
    const auto name = line.substr(0, arrow == std::string_view::npos ? line.find(" (") : arrow);
    const auto value = arrow == std::string_view::npos ? name : line.substr(arrow + 4);
    if (value.starts_with("not found")) {
      missing.push_back(name);
    } else if (value.starts_with('/')) {
      paths.emplace_back(value.substr(0, value.find(" (")));
    }
  }
  if (!missing.empty()) {
    return fail(ErrorKind::dependency,
                fmt::format("shared libraries not found: {}", fmt::join(missing, ", ")));
  }
  return paths;
}

bool is_glibc(const fs::path& library) {
  constexpr std::array<std::string_view, 13> kStems = {
      "ld-linux-x86-64.so", "libc.so",    "libm.so",        "libdl.so",  "libpthread.so",
      "librt.so",           "libutil.so", "libresolv.so",   "libnsl.so", "libanl.so",
      "libmvec.so",         "libnss_",    "libBrokenLocale"};
  const auto name = library.filename().string();
  return std::ranges::any_of(kStems, [&](auto stem) { return name.starts_with(stem); });
}

Result<std::vector<fs::path>> library_closure(ProcessRunner& runner, std::string_view ldd,
                                              const fs::path& program) {
  const auto doing = fmt::format("finding the libraries of {}", program.string());
  BP_TRY_DURING(const auto output, doing, runner.check({std::string(ldd), program.string()}));
  BP_TRY_DURING(auto paths, doing, parse_ldd(output));
  std::erase_if(paths, [](const fs::path& path) { return is_glibc(path); });
  std::ranges::sort(paths);
  return paths;
}

}  // namespace bedplate::image

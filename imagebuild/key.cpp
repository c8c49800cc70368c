#include "imagebuild/key.hpp"

#include <algorithm>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/text.hpp"

namespace bedplate::image {
namespace fs = std::filesystem;

void KeyBuilder::add(std::string_view name, std::string_view value) {
  hash_.update(fmt::format("{}:{}={}:", name.size(), name, value.size()));
  hash_.update(value);
}

Result<void> KeyBuilder::add_file(std::string_view name, const fs::path& path) {
  BP_TRY(const auto digest, digest_file(path));
  add(name, digest.hex());
  return {};
}

std::string KeyBuilder::finish() {
  return hash_.finish().hex().substr(0, 32);
}

namespace {

/// "….tmp.<pid>" of a process that is gone.
bool is_abandoned(const fs::path& path) {
  const auto name = path.filename().string();
  const auto at = name.rfind(".tmp.");
  if (at == std::string::npos) return false;
  const auto pid = parse_unsigned<unsigned>(name.substr(at + 5));
  return pid && *pid > 0 && ::kill(static_cast<pid_t>(*pid), 0) != 0 && errno == ESRCH;
}

std::vector<fs::path> entries(const fs::path& parent) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    if (entry.is_directory(ignored)) found.push_back(entry.path());
  }
  return found;
}

/// Everything written so far to the file system of `folder` is on disk.
Result<void> sync_file_system(const fs::path& folder) {
  BP_TRY(const auto fd, open_file(folder, O_RDONLY | O_DIRECTORY));
  if (::syncfs(fd.get()) != 0) return fail(system_error(errno, "cannot sync " + folder.string()));
  return {};
}

}  // namespace

Result<fs::path> cached(const fs::path& parent, const std::string& key,
                        const CacheActions& actions) {
  BP_CHECK(make_directories(parent));
  auto folder = parent / key;
  BP_TRY(const auto lock, FileLock::acquire(parent / ("." + key + ".lock"), true));
  std::error_code ignored;
  if (fs::exists(folder)) {
    fs::last_write_time(folder, fs::file_time_type::clock::now(), ignored);
    return folder;
  }
  for (const auto& entry : entries(parent)) {
    if (is_abandoned(entry)) BP_CHECK(actions.remove(entry));
  }
  const auto temporary = parent / fmt::format("{}.tmp.{}", key, ::getpid());
  BP_CHECK(actions.remove(temporary));
  BP_CHECK(make_directories(temporary));
  if (auto made = actions.make(temporary); !made) {
    // The build's own error says more than a leftover, which the next build removes.
    [[maybe_unused]] const auto removed = actions.remove(temporary);
    return std::unexpected(std::move(made).error());
  }
  BP_CHECK(sync_file_system(temporary));
  fs::rename(temporary, folder, ignored);
  if (ignored)
    return fail(ErrorKind::io, fmt::format("cannot rename {} to {}: {}", temporary.string(),
                                           folder.string(), ignored.message()));
  BP_CHECK(sync_path(parent));
  return folder;
}

Result<void> prune(const fs::path& parent, std::size_t keep, const std::string& key,
                   const CacheActions& actions) {
  std::vector<std::pair<fs::file_time_type, fs::path>> found;
  std::error_code ignored;
  for (const auto& entry : entries(parent)) {
    if (entry.filename() == key || entry.filename().string().find(".tmp.") != std::string::npos) {
      continue;
    }
    found.emplace_back(fs::last_write_time(entry, ignored), entry);
  }
  std::ranges::sort(found, std::ranges::greater{});
  const std::size_t others = keep == 0 ? 0 : keep - 1;
  for (std::size_t i = others; i < found.size(); ++i) {
    BP_CHECK(actions.remove(found[i].second));
    fs::remove(parent / ("." + found[i].second.filename().string() + ".lock"), ignored);
  }
  return {};
}

}  // namespace bedplate::image

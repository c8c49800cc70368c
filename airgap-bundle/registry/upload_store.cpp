#include "airgap-bundle/registry/upload_store.hpp"

#include <sys/stat.h>

#include "core/json.hpp"
#include "core/log.hpp"

namespace bedplate::registry {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::hours longest_life{24 * 7};

void drop_old(const fs::path& folder, WallTime now) {
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    struct stat info{};
    if (it->path().filename() == "lock" || ::stat(it->path().c_str(), &info) != 0) continue;
    const WallTime written{std::chrono::seconds(info.st_mtime)};
    std::error_code ignored;
    if (now - written > longest_life) fs::remove(it->path(), ignored);
  }
}

}  // namespace

fs::path default_upload_folder() {
  return cache_directory() / "uploads";
}

UploadStore UploadStore::open(const fs::path& folder, const std::string& registry, Clock& clock) {
  UploadStore out;
  out.folder_ = folder / Digest::of(registry).hex().substr(0, 16);
  auto made = make_directories(out.folder_, 0700);
  if (!made) {
    log::debug("uploads are not remembered: {}", made.error().what);
    return out;
  }
  auto lock = FileLock::acquire(out.folder_ / "lock", false);
  if (!lock) {
    log::debug("uploads are not remembered: {}", lock.error().what);
    return out;
  }
  out.lock_.emplace(std::move(*lock));
  drop_old(out.folder_, clock.now());
  return out;
}

fs::path UploadStore::file_of(const std::string& repository, const Digest& blob) const {
  return folder_ / (Digest::of(repository + "@" + blob.str()).hex() + ".json");
}

std::optional<std::string> UploadStore::find(const std::string& repository,
                                             const Digest& blob) const {
  if (!lock_) return std::nullopt;
  const auto text = read_file(file_of(repository, blob), 64U << 10);
  if (!text) return std::nullopt;
  const auto value = parse_json(*text, "upload");
  if (!value || !value->is_object()) return std::nullopt;
  // The file's name is short enough to be someone else's by accident.
  if (json_string_or(*value, "blob", "") != blob.str() ||
      json_string_or(*value, "repository", "") != repository) {
    return std::nullopt;
  }
  return json_string_or(*value, "location", "");
}

void UploadStore::keep(const std::string& repository, const Digest& blob,
                       const std::string& location) const {
  if (!lock_) return;
  const Json value{{"repository", repository}, {"blob", blob.str()}, {"location", location}};
  const auto kept = write_file_atomic(file_of(repository, blob), value.dump(), 0600);
  if (!kept) log::debug("an upload is not remembered: {}", kept.error().what);
}

void UploadStore::forget(const std::string& repository, const Digest& blob) const {
  std::error_code ignored;
  if (lock_) fs::remove(file_of(repository, blob), ignored);
}

}  // namespace bedplate::registry

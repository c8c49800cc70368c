#include "airgap-bundle/collect/reuse.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airgap-bundle/collect/image_store.hpp"
#include "core/log.hpp"

namespace bedplate::collect {
namespace fs = std::filesystem;
namespace {

enum class Cached {
  nothing,   ///< of ours: whatever else lies in a folder that somebody named
  blob,      ///< "<hex>"
  copy,      ///< "<hex>.tmp.<pid>", being made
  download,  ///< "url-<hex>.part", which the next run goes on with
  note,      ///< "url-<hex>.state", what is remembered of a download
};

Cached kind_of(std::string_view name) {
  constexpr std::string_view prefix = "url-";
  const bool of_url = name.starts_with(prefix);
  if (of_url) name.remove_prefix(prefix.size());
  const auto digits =
      name.substr(0, std::min(name.find_first_not_of("0123456789abcdef"), name.size()));
  const auto rest = name.substr(digits.size());
  if (of_url && digits.size() == 32) {
    return rest == ".part" ? Cached::download : rest == ".state" ? Cached::note : Cached::nothing;
  }
  if (of_url || digits.size() != 64) return Cached::nothing;
  if (rest.empty()) return Cached::blob;
  return rest.starts_with(".tmp.") ? Cached::copy : Cached::nothing;
}

/// Whether somebody is at it, or may come back to it.
bool is_needed(const fs::path& path, Cached kind, fs::file_time_type::duration age) {
  if (kind == Cached::copy) return age < std::chrono::hours(1);
  if (kind == Cached::note) return age < std::chrono::days(90);
  if (kind != Cached::download) return false;
  auto lock = path;
  return !FileLock::acquire(lock.replace_extension(".lock"), false);
}

/// Inside the kernel where the file systems allow it.
Result<void> copy_range(int from_fd, std::uint64_t offset, std::uint64_t size, int to_fd) {
  auto from = static_cast<off64_t>(offset);
  auto left = size;
  while (left > 0) {
    const auto n = ::copy_file_range(from_fd, &from, to_fd, nullptr, left, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;  // other file systems than one's own are not everybody's
    left -= static_cast<std::uint64_t>(n);
  }
  return feed_range(from_fd, static_cast<std::uint64_t>(from), left,
                    [&](std::span<const std::byte> data) { return write_all(to_fd, data); });
}

}  // namespace

void Reuse::add_leftover(const fs::path& output) {
  auto left = bundle::PartialFile::leftover(output);
  if (!left.fd) return;
  for (const auto& blob : left.blobs) {
    places_.try_emplace(blob.digest, Place{left.fd.get(), blob.offset, blob.size, true});
  }
  files_.push_back(std::move(left.fd));
}

void Reuse::add_bundle(const fs::path& path, const PublicKey& key) {
  auto reader = bundle::Reader::open(path, std::span(&key, 1));
  if (!reader) return;
  bundles_.push_back(std::make_unique<bundle::Reader>(std::move(*reader)));
  const auto& added = *bundles_.back();
  for (const auto& entry : added.header().entries) {
    places_.try_emplace(entry.digest, Place{added.fd(), entry.offset, entry.size, false});
  }
}

std::optional<Reuse::Found> Reuse::find(const Digest& digest, std::uint64_t size) const {
  if (const auto found = places_.find(digest);
      found != places_.end() && found->second.size == size) {
    return Found{found->second.fd, found->second.offset, found->second.passing, {}};
  }
  if (cache_.empty()) return std::nullopt;
  auto file = open_file(cache_ / digest.hex(), O_RDONLY);
  struct stat info{};
  if (!file || ::fstat(file->get(), &info) != 0 ||
      static_cast<std::uint64_t>(info.st_size) != size) {
    return std::nullopt;
  }
  ::futimens(file->get(), nullptr);  // used now: the garbage collector goes by this
  Found out{file->get(), 0, false, std::move(*file)};
  return out;
}

void Reuse::keep(const Digest& digest, std::uint64_t size, int fd, std::uint64_t offset) const {
  if (cache_.empty()) return;
  const auto copy = [&]() -> Result<void> {
    BP_CHECK(make_directories(cache_));
    BP_TRY(auto file, AtomicFile::create(cache_ / digest.hex()));
    BP_CHECK(copy_range(fd, offset, size, file.fd()));
    return file.commit();
  };
  if (const auto kept = copy(); !kept) {
    log::warning("a blob could not be kept in the cache {}: {}", cache_.string(),
                 kept.error().what);
  }
}

fs::path default_blob_cache() {
  return cache_directory() / "blobs" / "sha256";
}

Result<Collected> collect_garbage(const fs::path& cache, std::uint64_t most) {
  struct Blob {
    fs::path path;
    std::uint64_t size;
    fs::file_time_type used;
  };
  Collected out;
  std::vector<Blob> blobs;
  std::error_code code;
  for (fs::directory_iterator it(cache, code), end; !code && it != end; it.increment(code)) {
    std::error_code gone;  // by another collector
    Blob blob{it->path(), it->file_size(gone), it->last_write_time(gone)};
    if (gone || !it->is_regular_file(gone)) continue;
    const auto kind = kind_of(blob.path.filename().string());
    if (kind == Cached::nothing) continue;
    if (is_needed(blob.path, kind, fs::file_time_type::clock::now() - blob.used)) continue;
    if (kind == Cached::copy || kind == Cached::note) blob.used = fs::file_time_type::min();
    out.kept += blob.size;
    blobs.push_back(std::move(blob));
  }
  if (code && code != std::errc::no_such_file_or_directory) {
    return fail(system_error(code.value(), "cannot read the cache " + cache.string()));
  }
  std::ranges::sort(blobs, {}, &Blob::used);
  for (const auto& blob : blobs) {
    if (out.kept <= most && blob.used != fs::file_time_type::min()) break;
    if (::unlink(blob.path.c_str()) != 0 && errno != ENOENT) {
      return fail(system_error(errno, "cannot remove " + blob.path.string()));
    }
    out.kept -= blob.size;
    out.removed += blob.size;
    ++out.removed_files;
  }
  return out;
}

}  // namespace bedplate::collect

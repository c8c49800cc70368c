#include "airgap-bundle/bundle/partial.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.hpp"

namespace bedplate::bundle {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view magic = "BEDPLATE-PARTIAL1";
constexpr std::size_t table_alignment = 4096;
constexpr std::uint64_t longest_state = 256ULL << 20;

fs::path partial_of(const fs::path& path) {
  return path.string() + ".partial";
}
fs::path state_of(const fs::path& path) {
  return path.string() + ".partial.state";
}
fs::path kept_of(const fs::path& path) {
  return path.string() + ".partial.old";
}
fs::path kept_state_of(const fs::path& path) {
  return path.string() + ".partial.old.state";
}

void forget(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

/// Magic, the blobs as JSON, spaces up to a page; behind it the table of what has been written.
std::string describe(const std::vector<Placed>& blobs) {
  Json list = Json::array();
  for (const auto& blob : blobs) {
    list.push_back({{"digest", blob.digest.str()}, {"size", blob.size}, {"offset", blob.offset}});
  }
  auto text = fmt::format("{}\n{}\n", magic, list.dump());
  text.resize((text.size() + table_alignment - 1) / table_alignment * table_alignment, ' ');
  return text;
}

Result<std::vector<Placed>> parse_description(std::string_view text) {
  const auto start = magic.size() + 1;
  const auto end = text.find('\n', start);
  if (!text.starts_with(magic) || end == std::string_view::npos) {
    return fail(ErrorKind::corrupt, "not a state file");
  }
  BP_TRY(const auto list, parse_json(text.substr(start, end - start), "state"));
  std::vector<Placed> out;
  for (const auto& item : list) {
    Placed blob;
    BP_TRY(const auto digest, json_string(item, "digest"));
    BP_TRY(blob.digest, Digest::parse(digest));
    BP_TRY(blob.size, json_uint(item, "size"));
    BP_TRY(blob.offset, json_uint(item, "offset"));
    out.push_back(blob);
  }
  return out;
}

std::atomic_ref<std::uint64_t> atomic(std::uint64_t& value) {
  return std::atomic_ref<std::uint64_t>(value);
}

/// Opens the partial file and locks it. Between the two another process may have finished it and
/// given it its final name: then it is not ours to touch, and there is another one to open.
Result<UniqueFd> lock_partial(const fs::path& path) {
  while (true) {
    BP_TRY(auto fd, open_file(partial_of(path), O_RDWR | O_CREAT));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      return fail(ErrorKind::conflict,
                  fmt::format("{} is being made by another process", path.string()),
                  "wait until it has finished, or write to another file with -o");
    }
    struct stat opened{};
    struct stat named{};
    if (::fstat(fd.get(), &opened) == 0 && ::stat(partial_of(path).c_str(), &named) == 0 &&
        opened.st_ino == named.st_ino && opened.st_dev == named.st_dev) {
      return fd;
    }
  }
}

}  // namespace

PartialFile::Earlier PartialFile::earlier(const fs::path& path, const std::vector<Placed>& blobs) {
  std::error_code code;
  const auto size = fs::file_size(partial_of(path), code);
  const auto state = read_file(state_of(path), longest_state);
  if (code || size == 0 || !state) return Earlier::nothing;
  return state->starts_with(describe(blobs)) ? Earlier::same : Earlier::other;
}

std::uint64_t PartialFile::bytes_here(const fs::path& path, const std::vector<Placed>& blobs) {
  struct stat info{};
  if (earlier(path, blobs) != Earlier::same || ::stat(partial_of(path).c_str(), &info) != 0) {
    return 0;
  }
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

Result<PartialFile> PartialFile::open(const fs::path& path, const std::vector<Placed>& blobs) {
  PartialFile file;
  BP_TRY(file.fd_, lock_partial(path));
  const auto folder = path.parent_path().empty() ? fs::path(".") : path.parent_path();
  BP_CHECK(remove_abandoned(folder, state_of(path).filename().string() + ".tmp."));
  const auto wanted = describe(blobs);
  const auto state = read_file(state_of(path), longest_state);
  if (!state || !state->starts_with(wanted) ||
      state->size() != wanted.size() + blobs.size() * sizeof(std::uint64_t)) {
    std::error_code code;
    if (state && fs::file_size(partial_of(path), code) > 0) {
      // Its blobs may save fetching; what was kept before that has had its chance.
      fs::rename(state_of(path), kept_state_of(path), code);
      fs::rename(partial_of(path), kept_of(path), code);
      BP_TRY(file.fd_, lock_partial(path));
    }
    if (::ftruncate(file.fd_.get(), 0) != 0) {
      return fail(system_error(errno, "cannot empty " + partial_of(path).string()));
    }
    BP_CHECK(write_file_atomic(state_of(path),
                               wanted + std::string(blobs.size() * sizeof(std::uint64_t), '\0')));
  }
  file.path_ = path;
  auto ready = file.map_state(wanted, blobs.size());
  if (ready) ready = file.believe_the_disk(blobs);
  if (ready) return file;
  file.path_.clear();  // what is there is worth keeping, though we know nothing of it
  return fail(std::move(ready).error());
}

Result<void> PartialFile::map_state(const std::string& state, std::size_t count) {
  BP_TRY(state_fd_, open_file(state_of(path_), O_RDWR));
  map_size_ = state.size() + count * sizeof(std::uint64_t);
  void* at = ::mmap(nullptr, map_size_, PROT_READ | PROT_WRITE, MAP_SHARED, state_fd_.get(), 0);
  if (at == MAP_FAILED) return fail(system_error(errno, "cannot map " + state_of(path_).string()));
  map_ = static_cast<std::byte*>(at);
  // The description fills whole pages, so the table is aligned.
  table_ = reinterpret_cast<std::uint64_t*>(map_ + state.size());
  count_ = count;
  return {};
}

/// The state may promise more than there is: after a power cut, or when a run was killed between
/// giving the file its name and forgetting its state.
Result<void> PartialFile::believe_the_disk(const std::vector<Placed>& blobs) {
  struct stat info{};
  if (::fstat(fd_.get(), &info) != 0) {
    return fail(system_error(errno, "cannot stat " + partial_of(path_).string()));
  }
  const auto end = static_cast<std::uint64_t>(info.st_size);
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    const auto most = std::min(blobs[i].size, end - std::min(end, blobs[i].offset));
    if (written(i) > most) set_written(i, most);
  }
  return {};
}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      fd_(std::move(other.fd_)),
      state_fd_(std::move(other.state_fd_)),
      map_(std::exchange(other.map_, nullptr)),
      map_size_(other.map_size_),
      table_(std::exchange(other.table_, nullptr)),
      count_(std::exchange(other.count_, 0)) {}

PartialFile::~PartialFile() {
  const bool worthless = total_written() == 0;
  if (map_ != nullptr) ::munmap(map_, map_size_);
  if (path_.empty() || !worthless) return;
  forget(state_of(path_));
  forget(partial_of(path_));
}

std::uint64_t PartialFile::written(std::size_t index) const {
  return atomic(table_[index]).load(std::memory_order_relaxed);
}

void PartialFile::set_written(std::size_t index, std::uint64_t bytes) {
  atomic(table_[index]).store(bytes, std::memory_order_relaxed);
}

std::uint64_t PartialFile::total_written() const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < count_; ++i) sum += written(i);
  return sum;
}

Result<void> PartialFile::commit() {
  if (::fsync(fd_.get()) != 0) return fail(system_error(errno, "cannot sync the bundle"));
  if (::rename(partial_of(path_).c_str(), path_.c_str()) != 0) {
    return fail(system_error(errno, "cannot rename to " + path_.string()));
  }
  forget(state_of(path_));
  forget(kept_of(path_));
  forget(kept_state_of(path_));
  const auto folder = path_.parent_path().empty() ? fs::path(".") : path_.parent_path();
  path_.clear();
  return sync_path(folder);
}

PartialFile::Leftover PartialFile::leftover(const fs::path& path) {
  Leftover out;
  const auto state = read_file(kept_state_of(path), longest_state);
  auto fd = open_file(kept_of(path), O_RDWR);
  if (!state || !fd) return out;
  const auto blobs = parse_description(*state);
  if (!blobs || state->size() < blobs->size() * sizeof(std::uint64_t)) return out;
  const auto table = state->size() - blobs->size() * sizeof(std::uint64_t);
  for (std::size_t i = 0; i < blobs->size(); ++i) {
    std::uint64_t written = 0;
    std::memcpy(&written, state->data() + table + i * sizeof(written), sizeof(written));
    if (written == (*blobs)[i].size) out.blobs.push_back((*blobs)[i]);
  }
  out.fd = std::move(*fd);
  return out;
}

}  // namespace bedplate::bundle

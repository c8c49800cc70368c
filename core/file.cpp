#include "core/file.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace bedplate {
namespace {

std::string quoted(std::string_view action, const std::filesystem::path& path) {
  return fmt::format("cannot {} {}", action, path.string());
}

std::filesystem::path parent_of(const std::filesystem::path& path) {
  auto parent = path.parent_path();
  return parent.empty() ? std::filesystem::path(".") : parent;
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) reset(other.release());
  return *this;
}

UniqueFd::~UniqueFd() {
  reset();
}

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<UniqueFd> open_file(const std::filesystem::path& path, int flags, mode_t mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return fail(system_error(errno, quoted("open", path)));
  return UniqueFd(fd);
}

Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t limit) {
  BP_TRY(auto fd, open_file(path, O_RDONLY));
  std::string content;
  std::string block(std::size_t{64} << 10, '\0');
  while (true) {
    const ssize_t n = ::read(fd.get(), block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(errno, quoted("read", path)));
    if (n == 0) return content;
    content.append(block.data(), static_cast<std::size_t>(n));
    if (content.size() > limit) {
      return fail(ErrorKind::invalid,
                  fmt::format("{} is larger than the {} bytes allowed", path.string(), limit));
    }
  }
}

Result<void> read_exactly_at(int fd, std::span<std::byte> out, std::uint64_t offset) {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(errno, "cannot read"));
    if (n == 0) {
      return fail(ErrorKind::corrupt, fmt::format("file ends {} bytes too early", out.size()));
    }
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> write_all(int fd, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(errno, "cannot write"));
    data = data.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> write_all_at(int fd, std::span<const std::byte> data, std::uint64_t offset) {
  while (!data.empty()) {
    const ssize_t n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(errno, "cannot write"));
    data = data.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view content,
                               mode_t mode) {
  BP_TRY(auto file, AtomicFile::create(path, mode));
  BP_CHECK_DURING("writing " + path.string(), write_all(file.fd(), as_byte_span(content)));
  return file.commit();
}

Result<void> sync_path(const std::filesystem::path& path) {
  BP_TRY(auto fd, open_file(path, O_RDONLY));
  if (::fsync(fd.get()) != 0) return fail(system_error(errno, quoted("sync", path)));
  return {};
}

Result<void> make_directories(const std::filesystem::path& path, mode_t mode) {
  std::error_code code;
  if (path.empty() || std::filesystem::is_directory(path, code)) return {};
  BP_CHECK(make_directories(parent_of(path) == path ? "" : parent_of(path), mode));
  if (::mkdir(path.c_str(), mode) != 0) {
    if (errno == EEXIST && std::filesystem::is_directory(path, code)) return {};
    return fail(system_error(errno, quoted("make folder", path)));
  }
  return sync_path(parent_of(path));
}

Result<void> remove_tree(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::remove_all(path, code);
  if (code) return fail(system_error(code.value(), quoted("remove", path)));
  return {};
}

Result<AtomicFile> AtomicFile::create(std::filesystem::path path, mode_t mode) {
  auto temporary = path;
  temporary += fmt::format(".tmp.{}", ::getpid());
  ::unlink(temporary.c_str());  // left by an earlier process with our number
  BP_TRY(auto fd, open_file(temporary, O_RDWR | O_CREAT | O_EXCL, mode));
  // The caller's mode, whatever the umask says.
  if (::fchmod(fd.get(), mode) != 0) {
    return fail(system_error(errno, quoted("set the mode of", temporary)));
  }
  return AtomicFile(std::move(fd), std::move(path), std::move(temporary));
}

AtomicFile::~AtomicFile() {
  if (fd_) ::unlink(temporary_.c_str());
}

Result<void> AtomicFile::commit() {
  if (::fsync(fd_.get()) != 0) return fail(system_error(errno, quoted("sync", temporary_)));
  if (::rename(temporary_.c_str(), final_.c_str()) != 0) {
    return fail(system_error(errno, quoted("rename to", final_)));
  }
  fd_.reset();
  return sync_path(parent_of(final_));
}

Result<void> remove_abandoned(const std::filesystem::path& folder, std::string_view prefix) {
  std::error_code code;
  for (std::filesystem::directory_iterator it(folder, code), end; !code && it != end;
       it.increment(code)) {
    const auto name = it->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    pid_t owner = 0;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), owner);
    if (owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH) BP_CHECK(remove_tree(it->path()));
  }
  return {};
}

Result<TemporaryDirectory> TemporaryDirectory::create(std::string_view prefix) {
  const char* base = std::getenv("TMPDIR");
  std::string pattern =
      fmt::format("{}/{}.XXXXXX", base != nullptr && *base != '\0' ? base : "/tmp", prefix);
  if (::mkdtemp(pattern.data()) == nullptr) {
    return fail(system_error(errno, "cannot make a temporary folder " + pattern));
  }
  return TemporaryDirectory(pattern);
}

TemporaryDirectory::~TemporaryDirectory() {
  if (path_.empty()) return;
  std::error_code code;
  std::filesystem::remove_all(path_, code);  // a leftover in /tmp is no reason to fail
}

Result<std::uint64_t> free_space(const std::filesystem::path& path) {
  struct statvfs info{};
  if (::statvfs(path.c_str(), &info) != 0) {
    return fail(system_error(errno, quoted("ask the free space of", path)));
  }
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

Result<FileLock> FileLock::acquire(const std::filesystem::path& path, bool wait) {
  BP_TRY(auto fd, open_file(path, O_RDWR | O_CREAT, 0600));
  while (::flock(fd.get(), wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) {
      return fail(ErrorKind::conflict,
                  fmt::format("another bedplate process holds {}", path.string()),
                  fmt::format("wait for it to end; `fuser {}` shows which it is", path.string()));
    }
    return fail(system_error(errno, quoted("lock", path)));
  }
  return FileLock(std::move(fd));
}

std::filesystem::path cache_directory() {
  const auto from = [](const char* name) {
    const char* value = std::getenv(name);
    return std::filesystem::path(value == nullptr ? "" : value);
  };
  if (auto own = from("BEDPLATE_CACHE"); !own.empty()) return own;
  if (auto xdg = from("XDG_CACHE_HOME"); !xdg.empty()) return xdg / "bedplate";
  auto home = from("HOME");
  return (home.empty() ? std::filesystem::path("/root") : home) / ".cache/bedplate";
}

}  // namespace bedplate

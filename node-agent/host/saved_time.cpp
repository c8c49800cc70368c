#include "node-agent/host/saved_time.hpp"

#include <array>
#include <cerrno>
#include <condition_variable>
#include <mutex>

#include <fcntl.h>
#include <sys/stat.h>

#include "core/file.hpp"
#include "core/log.hpp"

namespace bedplate::agent {
namespace {

constexpr std::chrono::seconds period{10};

std::filesystem::path file_of(const std::filesystem::path& root) {
  return root / "var/lib/bedplate/clock";
}

}  // namespace

std::optional<WallTime> saved_time(const std::filesystem::path& root) {
  struct stat info{};
  if (::stat(file_of(root).c_str(), &info) != 0) return std::nullopt;
  return WallTime(std::chrono::seconds(info.st_mtime));
}

Result<void> save_time(const std::filesystem::path& root, WallTime now) {
  const auto file = file_of(root);
  const auto saved = saved_time(root);
  if (saved && *saved >= now) return {};
  if (!saved) {
    BP_CHECK(make_directories(file.parent_path()));
    BP_CHECK(write_file_atomic(file, ""));
  }
  std::array<timespec, 2> times{};
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_sec = now.time_since_epoch().count();
  if (::utimensat(AT_FDCWD, file.c_str(), times.data(), 0) == 0) return {};
  return fail(system_error(errno, "cannot save the time in " + file.string()));
}

TimeSaver::TimeSaver(std::filesystem::path root, Clock& clock)
    : thread_([root = std::move(root), &clock](const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any ended;
        std::unique_lock lock(mutex);
        do {
          if (const auto saved = save_time(root, clock.now()); !saved) {
            log::debug("clock: {}, ignoring", saved.error().what);
          }
        } while (!ended.wait_for(lock, stop, period, [&stop] { return stop.stop_requested(); }));
      }) {}

}  // namespace bedplate::agent

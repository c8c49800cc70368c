#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "core/file.hpp"
#include "core/http_server.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// One JSON object a line for each request: time, remote, method, path, status, bytes, seconds,
/// userAgent, and aborted when the answer was not sent whole. Nothing else of what a client sends
/// is written: no other header, no query. Lines are gathered in memory and written by a thread of
/// their own, within a second; when that cannot follow, or what reads a pipe stops for a second,
/// lines are dropped and counted.
class AccessLog {
 public:
  /// `-` is standard output. A file is made with mode 0640 and appended to. ErrorKind::io.
  static Result<std::unique_ptr<AccessLog>> open(const std::string& path);
  /// Writes what is left.
  ~AccessLog();

  void write(const ServerRecord& record);
  /// Writes what there is, then opens the path anew: what was there may have been renamed by
  /// logrotate(8). An error leaves the old file in use.
  Result<void> reopen();
  /// Returns when all that was logged before has been written.
  void flush();
  std::uint64_t dropped() const { return dropped_; }

 private:
  explicit AccessLog(std::string path) : path_(std::move(path)) {}
  Result<UniqueFd> open_path() const;
  void run(const std::stop_token& stop);
  void write_out();
  Result<std::size_t> put(std::string_view text) const;

  std::string path_;
  std::mutex file_mutex_;  ///< of `fd_` and `writing_`; taken before `mutex_`
  UniqueFd fd_;
  std::string writing_;
  bool cut_ = false;  ///< the last line that was written has no end
  std::mutex mutex_;  ///< of `lines_`
  std::condition_variable_any wake_;
  std::string lines_;
  std::atomic<std::uint64_t> dropped_{0};
  std::jthread thread_;
};

/// The line of a request, with its end; `now` is when it was done.
void append_access_line(std::string& out, const ServerRecord& record,
                        std::chrono::system_clock::time_point now);

}  // namespace bedplate::registry

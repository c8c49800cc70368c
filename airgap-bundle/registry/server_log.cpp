#include "airgap-bundle/registry/server_log.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <ctime>
#include <iterator>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.hpp"
#include "core/log.hpp"

namespace bedplate::registry {
namespace {

constexpr std::size_t most_waiting = 4U << 20;
constexpr std::size_t worth_writing = 64U << 10;
constexpr std::chrono::seconds longest_wait{1};
constexpr std::chrono::milliseconds longest_stall{1000};
constexpr std::size_t most_text = 1024;  ///< of what a client chose itself

/// RFC 8259 section 7. Bytes beyond ASCII are written as if they were Latin-1: a request line may
/// hold anything, and the line must stay JSON.
void append_text(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += '"';
  for (const char c : text.substr(0, most_text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += "\\u00";
      out += digits[byte >> 4U];
      out += digits[byte & 15U];
    } else {
      out += c;
    }
  }
  out += '"';
}

/// RFC 3339 with milliseconds; the seconds are kept, as most lines share them with the one before.
void append_time(std::string& out, std::chrono::system_clock::time_point now) {
  thread_local std::time_t known = -1;
  thread_local std::string text;
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  const auto count = std::chrono::system_clock::to_time_t(second);
  if (count != known) {
    known = count;
    text = format_rfc3339(second);
    text.pop_back();  // Z
  }
  const auto part = std::chrono::duration_cast<std::chrono::milliseconds>(now - second).count();
  fmt::format_to(std::back_inserter(out), "{}.{:03}Z", text, part);
}

}  // namespace

void append_access_line(std::string& out, const ServerRecord& record,
                        std::chrono::system_clock::time_point now) {
  out += R"({"time":")";
  append_time(out, now);
  out += R"(","remote":)";
  append_text(out, record.remote);
  out += R"(,"method":)";
  append_text(out, record.method);
  out += R"(,"path":)";
  append_text(out, record.target);
  const auto micros = record.duration.count();
  fmt::format_to(std::back_inserter(out),
                 R"(,"status":{},"bytes":{},"seconds":{}.{:06},"userAgent":)", record.status,
                 record.bytes, micros / 1'000'000, micros % 1'000'000);
  append_text(out, record.user_agent);
  if (!record.complete) out += R"(,"aborted":true)";
  out += "}\n";
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path) {
  std::unique_ptr<AccessLog> log(new AccessLog(path));
  BP_TRY(log->fd_, log->open_path());
  log->thread_ = std::jthread([raw = log.get()](const std::stop_token& stop) { raw->run(stop); });
  return log;
}

AccessLog::~AccessLog() {
  thread_ = {};  // stops and joins
  write_out();
}

Result<UniqueFd> AccessLog::open_path() const {
  if (path_ == "-") return UniqueFd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  auto opened = open_file(path_, O_WRONLY | O_APPEND | O_CREAT, 0640);
  if (!opened)
    opened.error().with_hint("make the folder of --access-log, writable for the service");
  return opened;
}

void AccessLog::write(const ServerRecord& record) {
  thread_local std::string line;
  line.clear();
  append_access_line(line, record, std::chrono::system_clock::now());
  const std::lock_guard lock(mutex_);
  if (lines_.size() + line.size() > most_waiting) {
    ++dropped_;
    return;
  }
  lines_ += line;
  if (lines_.size() >= worth_writing) wake_.notify_one();
}

void AccessLog::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, longest_wait, [&] { return lines_.size() >= worth_writing; });
    }
    write_out();
  }
}

/// A reader that has stopped must not stop us, who serve, reload and end.
Result<std::size_t> AccessLog::put(std::string_view text) const {
  struct stat info{};
  const bool regular = ::fstat(fd_.get(), &info) == 0 && S_ISREG(info.st_mode);
  std::size_t done = 0;
  while (done < text.size()) {
    // A pipe that is ready takes so much without waiting (pipe(7)); files are always ready.
    const auto part = text.substr(done, regular ? text.size() : PIPE_BUF);
    pollfd ready{fd_.get(), POLLOUT, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(longest_stall.count()));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return done;
    BP_CHECK(write_all(fd_.get(), as_byte_span(part)));
    done += part.size();
  }
  return done;
}

void AccessLog::write_out() {
  const std::lock_guard file_lock(file_mutex_);
  {
    const std::lock_guard lock(mutex_);
    writing_.swap(lines_);
  }
  if (writing_.empty()) return;
  if (cut_) writing_.insert(0, 1, '\n');
  const auto written = put(writing_);
  if (!written) log::warning("cannot write the access log, ignoring: {}", written.error().what);
  const auto left = std::string_view(writing_).substr(written.value_or(0));
  dropped_ += static_cast<std::uint64_t>(std::ranges::count(left, '\n'));
  if (left.empty()) {
    cut_ = false;
  } else if (!written) {
    cut_ = true;  // nobody knows how far it came
  } else if (*written > 0) {
    cut_ = writing_[*written - 1] != '\n';
  }
  writing_.clear();
}

void AccessLog::flush() {
  write_out();
}

Result<void> AccessLog::reopen() {
  BP_TRY(auto opened, open_path());
  write_out();
  const std::lock_guard file_lock(file_mutex_);
  fd_ = std::move(opened);
  return {};
}

}  // namespace bedplate::registry

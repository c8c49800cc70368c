#include "core/progress.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "core/clock.hpp"

namespace bedplate {
namespace {

using SteadyClock = std::chrono::steady_clock;

/// A thread draws, so that the screen moves even while the work is silent (a program that runs, a
/// disk that is slow): no one should have to guess whether it hangs.
class ConsoleProgress final : public Progress {
 public:
  ConsoleProgress() : terminal_(::isatty(STDERR_FILENO) == 1), drawer_([this] { draw_loop(); }) {}

  ~ConsoleProgress() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    drawer_.join();
    clear_line();
  }

  void begin(std::string_view title, std::uint64_t total) override {
    const std::lock_guard lock(mutex_);
    title_ = title;
    total_ = total;
    done_ = 0;
    started_ = SteadyClock::now();
    active_ = true;
    if (!terminal_) print_line(title_);
  }

  void advance(std::uint64_t bytes) override { done_ += bytes; }

  void note(std::string_view line) override {
    const std::lock_guard lock(mutex_);
    print_line(line);
  }

  void end() override {
    const std::lock_guard lock(mutex_);
    if (!active_) return;
    active_ = false;
    const auto took = elapsed();
    print_line(fmt::format("{}: done in {}{}", title_, format_duration(took),
                           done_ == 0 ? "" : fmt::format(" ({})", format_bytes(done_))));
  }

 private:
  std::chrono::milliseconds elapsed() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - started_);
  }

  void draw_loop() {
    std::unique_lock lock(mutex_);
    const auto period = std::chrono::milliseconds(terminal_ ? 200 : 2000);
    while (!wake_.wait_for(lock, period, [this] { return stop_; })) {
      if (!active_) continue;
      if (terminal_) {
        fmt::print(stderr, "\r\x1b[K{}", state());
        std::fflush(stderr);
        drawn_ = true;
      } else {
        print_line(state());
      }
    }
  }

  std::string state() {
    constexpr std::array<char, 4> spinner{'|', '/', '-', '\\'};
    const auto took = elapsed();
    const auto done = done_.load();
    const auto sign = terminal_ ? fmt::format("{} ", spinner[tick_++ % spinner.size()]) : "";
    if (total_ == 0 || done == 0)
      return fmt::format("{}{} ({})", sign, title_, format_duration(took));
    const double seconds = std::max(0.001, static_cast<double>(took.count()) / 1000.0);
    const double rate = static_cast<double>(done) / seconds;
    const auto left = done >= total_ ? 0.0 : static_cast<double>(total_ - done) / rate;
    return fmt::format(
        "{}{}: {} of {} ({} %), {}/s, {} left", sign, title_, format_bytes(done),
        format_bytes(total_), std::min<std::uint64_t>(100, done * 100 / total_),
        format_bytes(static_cast<std::uint64_t>(rate)),
        format_duration(std::chrono::milliseconds(static_cast<std::int64_t>(left * 1000.0))));
  }

  void clear_line() {
    if (drawn_) fmt::print(stderr, "\r\x1b[K");
    drawn_ = false;
  }

  void print_line(std::string_view line) {
    clear_line();
    if (terminal_) {
      fmt::print(stderr, "{}\n", line);
    } else {
      fmt::print(stderr, "{} {}\n", format_rfc3339(SystemClock().now()), line);
    }
    std::fflush(stderr);
  }

  const bool terminal_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  bool active_ = false;
  bool drawn_ = false;
  std::string title_;
  std::uint64_t total_ = 0;
  std::atomic<std::uint64_t> done_{0};
  SteadyClock::time_point started_;
  std::size_t tick_ = 0;
  std::thread drawer_;
};

}  // namespace

std::unique_ptr<Progress> make_console_progress() {
  return std::make_unique<ConsoleProgress>();
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < units.size()) {
    value /= 1024.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string format_duration(std::chrono::milliseconds duration) {
  const auto total = duration.count();
  if (total < 60'000) return fmt::format("{}.{} s", total / 1000, total % 1000 / 100);
  const auto seconds = total / 1000;
  if (seconds < 3600) return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {:02} min", seconds / 3600, seconds % 3600 / 60);
}

}  // namespace bedplate

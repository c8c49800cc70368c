#include "installer/ui/console.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::installer {
namespace {

std::string with_newline(std::string_view text) {
  std::string out(text);
  if (!out.ends_with('\n')) out += '\n';
  return out;
}

/// A failing screen must not stop an installation.
void write_quietly(int fd, std::string_view text) {
  (void)write_all(fd, as_byte_span(text));
}

bool same_device(const std::filesystem::path& device) {
  struct stat console{};
  struct stat output{};
  return ::stat(device.c_str(), &console) == 0 && ::fstat(STDOUT_FILENO, &output) == 0 &&
         S_ISCHR(output.st_mode) && console.st_rdev == output.st_rdev;
}

class InstallProgress final : public Progress {
 public:
  explicit InstallProgress(Console& console) : console_(console) {}

  void begin(std::string_view title, std::uint64_t total) override {
    const std::lock_guard lock(mutex_);
    title_ = title;
    total_ = total;
    done_ = 0;
    start_ = shown_ = Clock::now();
  }

  void advance(std::uint64_t bytes) override {
    const std::lock_guard lock(mutex_);
    done_ += bytes;
    const auto now = Clock::now();
    if (now - shown_ < std::chrono::seconds{2}) return;
    shown_ = now;
    const auto seconds = std::chrono::duration<double>(now - start_).count();
    const auto rate = static_cast<std::uint64_t>(static_cast<double>(done_) / seconds);
    const auto percent = total_ == 0 ? std::string() : fmt::format(" ({} %)", done_ * 100 / total_);
    console_.page(fmt::format("  {}: {}{}, {}/s\n", title_, format_bytes(done_), percent,
                              format_bytes(rate)));
  }

  void note(std::string_view line) override { console_.page(fmt::format("  {}\n", line)); }
  void end() override {}

 private:
  using Clock = std::chrono::steady_clock;
  Console& console_;
  std::mutex mutex_;
  std::string title_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;
  Clock::time_point start_;
  Clock::time_point shown_;
};

}  // namespace

Console::Console(std::filesystem::path device, std::filesystem::path keyboard)
    : device_(std::move(device)), keyboard_(std::move(keyboard)), same_(same_device(device_)) {}

void Console::say(std::string_view text) {
  const auto line = with_newline(text);
  write_quietly(STDOUT_FILENO, line);
  if (same_ || device_.empty()) return;
  // Opened each time: a console may hang up and come back.
  if (auto fd = open_file(device_, O_WRONLY | O_NOCTTY)) write_quietly(fd->get(), line);
}

void Console::page(std::string_view text) {
  write_quietly(STDOUT_FILENO, with_newline(text));
}

bool Console::wait_for_enter() {
  std::vector<UniqueFd> open;
  for (const auto& path : {device_, keyboard_}) {
    auto fd = open_file(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    if (fd && ::isatty(fd->get()) != 0) open.push_back(std::move(*fd));
  }
  std::array<char, 256> keys{};
  for (const auto& fd : open) {
    while (::read(fd.get(), keys.data(), keys.size()) > 0) {  // what was typed before counts not
    }
  }
  while (!open.empty()) {
    std::vector<pollfd> polls;
    for (const auto& fd : open) polls.push_back({fd.get(), POLLIN, 0});
    if (::poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR) return false;
    for (std::size_t i = polls.size(); i-- > 0;) {
      if (polls[i].revents == 0) continue;
      const auto n = ::read(polls[i].fd, keys.data(), keys.size());
      if (n > 0 &&
          std::string_view(keys.data(), static_cast<std::size_t>(n)).find_first_of("\r\n") !=
              std::string_view::npos) {
        return true;
      }
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
  return false;
}

std::string step_line(const StepEvent& event, bool applied) {
  const auto line = [&](std::string_view word, std::string_view detail) {
    return fmt::format("bedplate: install/{}: {}{}", event.id, word,
                       detail.empty() ? "" : fmt::format(" ({})", detail));
  };
  switch (event.state) {
    case StepState::pending:
      return {};
    case StepState::applying:
      return line("started", {});
    case StepState::satisfied:
      if (applied) return line("ok", format_duration(event.elapsed));
      return line("skipped", event.detail.empty() ? "done already" : event.detail);
    case StepState::failed:
    case StepState::conflict:
      return line("failed", {});
  }
  return {};
}

void ConsoleObserver::on_step(const StepEvent& event) {
  if (event.state == StepState::applying) applying_ = event.id;
  const auto line = step_line(event, applying_ == event.id);
  if (!line.empty()) console_.say(line);
}

std::unique_ptr<Progress> make_install_progress(Console& console) {
  return std::make_unique<InstallProgress>(console);
}

}  // namespace bedplate::installer

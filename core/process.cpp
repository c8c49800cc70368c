#include "core/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.hpp"

extern char** environ;

namespace bedplate {
namespace {

using Milliseconds = std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

/// Of one stream. A chart that renders for ever must not take the machine's memory.
constexpr std::size_t most_output = 128UL << 20;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail(system_error(errno, "cannot make a pipe"));
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

/// One stream of output: kept whole, and cut into lines for on_line.
struct Stream {
  UniqueFd fd;
  std::string* all;
  std::string line;

  void take(std::string_view chunk, const std::function<void(std::string_view)>& on_line) {
    all->append(chunk);
    if (!on_line) return;
    for (const char c : chunk) {
      if (c == '\n' || c == '\r') {
        if (!line.empty()) on_line(line);
        line.clear();
      } else {
        line += c;
      }
    }
  }
};

struct Prepared {
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
};

/// Everything that allocates happens before the fork: the child may only make system calls.
Prepared prepare(const Command& command) {
  Prepared out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view pair(*entry);
    if (!command.environment.contains(std::string(pair.substr(0, pair.find('='))))) {
      out.environment.emplace_back(pair);
    }
  }
  for (const auto& [name, value] : command.environment) {
    out.environment.push_back(fmt::format("{}={}", name, value));
  }
  for (const auto& word : command.argv) out.argv.push_back(const_cast<char*>(word.c_str()));
  for (const auto& entry : out.environment) out.envp.push_back(const_cast<char*>(entry.c_str()));
  out.argv.push_back(nullptr);
  out.envp.push_back(nullptr);
  return out;
}

[[noreturn]] void exec_child(const Command& command, const Prepared& prepared, int in, int out,
                             int err, int report, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  int error = 0;
  if (::getppid() != parent) {
    error = ESRCH;  // we were orphaned before PDEATHSIG was set
  } else if (!command.directory.empty() && ::chdir(command.directory.c_str()) != 0) {
    error = errno;
  } else {
    ::execvpe(prepared.argv[0], prepared.argv.data(), prepared.envp.data());
    error = errno;
  }
  [[maybe_unused]] const auto written = ::write(report, &error, sizeof error);
  ::_exit(127);
}

/// A program may end before it has read its input. SIGPIPE is kept from this thread, and taken off
/// if it came, so that no caller has to change the process's signal handling.
ssize_t write_without_sigpipe(int fd, std::string_view data) {
  sigset_t pipe_only;
  sigset_t before;
  ::sigemptyset(&pipe_only);
  ::sigaddset(&pipe_only, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
  const ssize_t written = ::write(fd, data.data(), data.size());
  const int error = errno;
  if (written < 0 && error == EPIPE) {
    const timespec at_once{};
    ::sigtimedwait(&pipe_only, nullptr, &at_once);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

class Child {
 public:
  explicit Child(const Command& command) : command_(command) {}

  Result<ProcessResult> run() {
    BP_CHECK(start());
    ProcessResult result;
    std::array<Stream, 2> streams{Stream{std::move(out_), &result.out, {}},
                                  Stream{std::move(err_), &result.err, {}}};
    const auto deadline = SteadyClock::now() + command_.timeout;
    auto end = pump(streams, deadline);
    int status = 0;
    if (end == End::closed && !ended_by(deadline, status)) end = End::late;
    if (end != End::closed) {
      ::kill(-pid_, SIGKILL);
      while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
      }
    }
    if (end == End::flooded) {
      return fail(ErrorKind::process,
                  fmt::format("{} printed more than {} MiB", command_.argv[0], most_output >> 20U));
    }
    if (end == End::late) {
      return fail(ErrorKind::timeout, fmt::format("{} did not end within {} s", command_.argv[0],
                                                  command_.timeout.count() / 1000));
    }
    result.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return result;
  }

 private:
  Result<void> start() {
    BP_TRY(auto in, make_pipe());
    BP_TRY(auto out, make_pipe());
    BP_TRY(auto err, make_pipe());
    BP_TRY(auto report, make_pipe());
    const auto prepared = prepare(command_);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) return fail(system_error(errno, "cannot start " + command_.argv[0]));
    if (pid_ == 0) {
      exec_child(command_, prepared, in.read.get(), out.write.get(), err.write.get(),
                 report.write.get(), parent);
    }
    ::setpgid(pid_, pid_);
    report.write.reset();
    int error = 0;
    if (::read(report.read.get(), &error, sizeof error) == sizeof error) {
      ::waitpid(pid_, nullptr, 0);
      return fail(start_error(error));
    }
    in_ = std::move(in.write);
    out_ = std::move(out.read);
    err_ = std::move(err.read);
    ::fcntl(in_.get(), F_SETFL, O_NONBLOCK);
    if (command_.input.empty()) in_.reset();
    return {};
  }

  Error start_error(int error) const {
    if (error == ENOENT) {
      return Error(ErrorKind::dependency, fmt::format("program '{}' not found", command_.argv[0]))
          .with_hint("install the package that has it and run the command again");
    }
    return system_error(error, "cannot start " + command_.argv[0]);
  }

  void feed() {
    const auto rest = std::string_view(command_.input).substr(fed_);
    const ssize_t n = write_without_sigpipe(in_.get(), rest);
    if (n > 0) fed_ += static_cast<std::size_t>(n);
    const bool gone = n < 0 && errno != EAGAIN && errno != EINTR;  // it does not want the rest
    if (gone || fed_ == command_.input.size()) in_.reset();
  }

  enum class End { closed, late, flooded };

  /// Reads both streams until they are closed, the time is over, or it is too much.
  End pump(std::array<Stream, 2>& streams, SteadyClock::time_point deadline) {
    std::array<char, 65536> block{};
    while (streams[0].fd || streams[1].fd) {
      const auto left = std::chrono::duration_cast<Milliseconds>(deadline - SteadyClock::now());
      if (left.count() <= 0) return End::late;
      std::array<pollfd, 3> fds{{{streams[0].fd.get(), POLLIN, 0},
                                 {streams[1].fd.get(), POLLIN, 0},
                                 {in_.get(), POLLOUT, 0}}};
      ::poll(fds.data(), fds.size(), static_cast<int>(std::min<long>(left.count(), 1000)));
      if (in_ && fds[2].revents != 0) feed();
      for (std::size_t i = 0; i < streams.size(); ++i) {
        if (!streams[i].fd || fds[i].revents == 0) continue;
        const ssize_t n = ::read(streams[i].fd.get(), block.data(), block.size());
        if (n > 0) {
          streams[i].take({block.data(), static_cast<std::size_t>(n)}, command_.on_line);
          if (streams[i].all->size() > most_output) return End::flooded;
        } else if (n == 0 || errno != EINTR) {
          if (command_.on_line && !streams[i].line.empty()) command_.on_line(streams[i].line);
          streams[i].fd.reset();
        }
      }
    }
    return End::closed;
  }

  /// Waits for the program itself: one that has closed its output need not have ended. False when
  /// the time is over.
  bool ended_by(SteadyClock::time_point deadline, int& status) const {
    auto pause = Milliseconds(1);
    while (true) {
      const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
      if (ended == pid_ || (ended < 0 && errno != EINTR)) return true;
      if (SteadyClock::now() >= deadline) return false;
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, Milliseconds(50));
    }
  }

  const Command& command_;
  pid_t pid_ = -1;
  UniqueFd in_;
  UniqueFd out_;
  UniqueFd err_;
  std::size_t fed_ = 0;
};

/// The end of what a program said: enough to see why it failed.
std::string last_lines(std::string_view text, int lines) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::size_t start = text.size();
  while (start != 0 && start != std::string_view::npos && lines-- > 0) {
    start = text.rfind('\n', start - 1);
  }
  return std::string(start == std::string_view::npos || start == 0 ? text : text.substr(start + 1));
}

}  // namespace

Result<ProcessResult> SystemProcessRunner::run(const Command& command) {
  if (command.argv.empty()) return fail(ErrorKind::internal, "a command without words");
  return Child(command).run();
}

Result<std::string> ProcessRunner::check(const Command& command) {
  BP_TRY(auto result, run(command));
  if (result.status == 0) return std::move(result.out);
  const auto& said = result.err.empty() ? result.out : result.err;
  return std::unexpected(
      Error(ErrorKind::process, fmt::format("{} failed with status {}:\n{}", command.argv[0],
                                            result.status, last_lines(said, 8)))
          .during(fmt::format("running {}", fmt::join(command.argv, " "))));
}

Result<std::string> ProcessRunner::check(std::vector<std::string> argv) {
  Command command;
  command.argv = std::move(argv);
  return check(command);
}

Result<std::filesystem::path> find_program(std::string_view name, std::string_view debian_package) {
  const char* value = std::getenv("PATH");
  // Debian's ordinary users have no sbin in PATH, yet may run mkfs on their own files.
  const std::string path = std::string(value == nullptr ? "" : value) + ":/usr/sbin:/sbin";
  std::size_t start = 0;
  while (start <= path.size()) {
    auto end = path.find(':', start);
    if (end == std::string::npos) end = path.size();
    auto candidate = std::filesystem::path(path.substr(start, end - start)) / name;
    if (candidate.is_absolute() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  return fail(ErrorKind::dependency, fmt::format("program '{}' not found", name),
              fmt::format("apt-get install {}", debian_package));
}

}  // namespace bedplate

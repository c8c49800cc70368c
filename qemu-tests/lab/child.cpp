#include "qemu-tests/lab/child.hpp"

#include <chrono>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::lab {
namespace {

/// State letter and start time; {'?', 0} when there is no such process.
std::pair<char, std::uint64_t> stat_of(pid_t pid) {
  const auto text = read_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return {'?', 0};
  // The program's name, in brackets, may hold anything: count fields after its end.
  const auto end = text->rfind(')');
  if (end == std::string::npos) return {'?', 0};
  std::istringstream rest(text->substr(end + 1));
  char state = '?';
  rest >> state;
  std::string field;
  for (int number = 4; number <= 21; ++number) rest >> field;
  std::uint64_t start = 0;
  rest >> start;
  return {state, start};
}

[[noreturn]] void exec_child(const ChildOptions& options, char* const* argv, int log, int report,
                             pid_t parent) {
  ::setpgid(0, 0);
  if (!options.outlives_us) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int error = 0;
  if (!options.outlives_us && ::getppid() != parent) {
    error = ESRCH;
  } else {
    ::signal(SIGPIPE, SIG_DFL);
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0);
    ::dup2(log, 1);
    ::dup2(log, 2);
    if (options.nice != 0 && ::nice(options.nice) == -1) {
      // A guest that runs at our own priority is only slower for its neighbour.
    }
    ::execvp(argv[0], argv);
    error = errno;
  }
  [[maybe_unused]] const auto written = ::write(report, &error, sizeof error);
  ::_exit(127);
}

}  // namespace

bool ProcessId::alive() const {
  if (pid <= 0) return false;
  const auto [state, start] = stat_of(pid);
  return start == start_time && start != 0 && state != 'Z' && state != 'X';
}

void ProcessId::kill_group() const {
  if (!alive()) return;
  ::kill(-pid, SIGKILL);
  for (int i = 0; i < 500 && alive(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

Result<Child> Child::start(const ChildOptions& options) {
  BP_TRY(auto log, open_file(options.log, O_WRONLY | O_CREAT | O_APPEND));
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail(system_error(errno, "cannot make a pipe"));
  UniqueFd read_end(fds[0]);
  UniqueFd write_end(fds[1]);
  std::vector<char*> argv;
  for (const auto& word : options.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(system_error(errno, "cannot start " + options.argv[0]));
  if (pid == 0) exec_child(options, argv.data(), log.get(), write_end.get(), parent);
  ::setpgid(pid, pid);
  write_end.reset();
  int error = 0;
  if (::read(read_end.get(), &error, sizeof error) == sizeof error) {
    ::waitpid(pid, nullptr, 0);
    return fail(system_error(error, "cannot start " + options.argv[0]));
  }
  Child child;
  child.id_ = {pid, stat_of(pid).second};
  return child;
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    kill();
    id_ = std::exchange(other.id_, {});
  }
  return *this;
}

bool Child::running() {
  if (id_.pid <= 0) return false;
  if (::waitpid(id_.pid, nullptr, WNOHANG) == 0) return true;
  id_ = {};
  return false;
}

void Child::kill() {
  if (id_.pid <= 0) return;
  ::kill(-id_.pid, SIGKILL);
  while (::waitpid(id_.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  id_ = {};
}

}  // namespace bedplate::lab

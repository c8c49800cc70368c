#include "airgap-bundle/tests/programs.hpp"

#include <csignal>
#include <cstdlib>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/text.hpp"

namespace bedplate::bundle_test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return where;
}

}  // namespace

Background::Background(const std::vector<std::string>& argv, const std::filesystem::path& log)
    : pid_(::fork()) {
  if (pid_ != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  std::vector<char*> raw;
  for (const auto& word : argv) raw.push_back(const_cast<char*>(word.c_str()));
  raw.push_back(nullptr);
  ::execv(raw.front(), raw.data());
  ::_exit(127);
}

Background::~Background() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  for (int i = 0; i < 50; ++i) {
    if (::waitpid(pid_, nullptr, WNOHANG) != 0) return;
    ::usleep(100'000);
  }
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Background::running() const {
  return pid_ > 0 && ::kill(pid_, 0) == 0;
}

std::optional<std::string> program(const std::string& name) {
  const auto found = find_program(name, name);
  if (!found) return std::nullopt;
  return found->string();
}

std::optional<std::string> payload_program(const std::string& name) {
  std::error_code code;
  for (std::filesystem::directory_iterator it(cache_directory() / "payload", code), end;
       !code && it != end; it.increment(code)) {
    const auto path = it->path() / "bin" / name;
    if (it->path().filename().string().find(".tmp.") == std::string::npos &&
        std::filesystem::exists(path)) {
      return path.string();
    }
  }
  return std::nullopt;
}

std::string run(std::vector<std::string> argv) {
  std::string line;
  for (const auto& word : argv) line += word + " ";
  Command command;
  command.argv = std::move(argv);
  command.timeout = std::chrono::minutes(2);
  SystemProcessRunner runner;
  const auto result = runner.run(command);
  if (!result) {
    ADD_FAILURE() << line << "\n" << result.error().render();
    return {};
  }
  EXPECT_EQ(result->status, 0) << line << "\n" << result->out << result->err;
  return result->out;
}

std::string built_client(const std::string& name) {
  Command command;
  command.argv = {BEDPLATE_SOURCE_DIR "/qemu-tests/payload/build", name};
  command.timeout = std::chrono::minutes(20);
  SystemProcessRunner runner;
  const auto result = runner.run(command);
  if (!result || result->status != 0) {
    ADD_FAILURE() << name
                  << " could not be built: " << (result ? result->err : result.error().render());
    return {};
  }
  return std::string(trimmed(result->out)) + "/" + name;
}

std::uint16_t free_port() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto where = loopback(0);
  socklen_t length = sizeof where;
  auto* raw = reinterpret_cast<sockaddr*>(&where);
  if (::bind(fd.get(), raw, length) != 0 || ::getsockname(fd.get(), raw, &length) != 0) return 0;
  return ntohs(where.sin_port);
}

bool wait_for_port(std::uint16_t port) {
  for (int i = 0; i < 200; ++i) {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto where = loopback(port);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) == 0) return true;
    ::usleep(100'000);
  }
  return false;
}

}  // namespace bedplate::bundle_test

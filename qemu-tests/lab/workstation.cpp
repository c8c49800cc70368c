#include "qemu-tests/lab/workstation.hpp"

#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/file.hpp"

namespace bedplate::lab {

Result<void> Workstation::fetch_kubeconfig(Ipv4 server) {
  Command command;
  command.argv = tools_.prefix;
  const auto words = {tools_.bedplate.string(), std::string("kubeconfig"),
                      std::string("--site"),    tools_.site.string(),
                      std::string("--secrets"), tools_.secrets.string(),
                      std::string("--server"),  server.str(),
                      std::string("-o"),        tools_.kubeconfig.string()};
  command.argv.insert(command.argv.end(), words);
  command.timeout = std::chrono::seconds(60);
  BP_CHECK(runner_.check(command));
  return {};
}

Result<std::string> Workstation::kubectl(std::vector<std::string> words, std::string input,
                                         std::chrono::seconds patience) {
  Command command;
  command.argv = tools_.prefix;
  command.argv.push_back(tools_.kubectl.string());
  command.argv.push_back("--kubeconfig=" + tools_.kubeconfig.string());
  command.argv.push_back(fmt::format("--request-timeout={}s", patience.count()));
  command.argv.insert(command.argv.end(), words.begin(), words.end());
  command.input = std::move(input);
  command.timeout = patience + std::chrono::seconds(10);
  return runner_.check(command);
}

Result<std::vector<NodeView>> Workstation::nodes() {
  BP_TRY(const auto text, kubectl({"get", "nodes", "-o", "json"}, {}, std::chrono::seconds(20)));
  return parse_nodes(text);
}

Result<std::vector<PodView>> Workstation::pods() {
  BP_TRY(const auto text,
         kubectl({"get", "pods", "-A", "-o", "json"}, {}, std::chrono::seconds(20)));
  return parse_pods(text);
}

std::string Workstation::command_line() const {
  return fmt::format("{} {} --kubeconfig={}", fmt::join(tools_.prefix, " "),
                     tools_.kubectl.string(), tools_.kubeconfig.string());
}

Result<void> retry(std::string_view what, std::chrono::milliseconds limit,
                   const std::function<Result<void>()>& attempt,
                   const std::function<Result<void>()>& look) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    BP_CHECK(look());
    auto result = attempt();
    if (result) return {};
    if (std::chrono::steady_clock::now() > deadline) {
      auto error = std::move(result).error();
      error.kind = ErrorKind::timeout;
      return fail(
          std::move(error).during(fmt::format("waiting {} s for: {}", limit.count() / 1000, what)));
    }
    // In short pieces, so that an interruption is noticed at once.
    for (int i = 0; i < 10; ++i) {
      BP_CHECK(look());
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  }
}

}  // namespace bedplate::lab

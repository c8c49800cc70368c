#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/process.hpp"

namespace bedplate {

/// Scripted ProcessRunner for tests: answers by the longest matching prefix of the joined argv and
/// records every command. A command nobody scripted is an error that names it, so no test passes
/// by accident.
class FakeProcessRunner final : public ProcessRunner {
 public:
  using Handler = std::function<Result<ProcessResult>(const Command&)>;

  void on(std::string argv_prefix, ProcessResult result) {
    on(std::move(argv_prefix), [result](const Command&) { return Result<ProcessResult>(result); });
  }
  void on(std::string argv_prefix, Handler handler) {
    handlers_.emplace_back(std::move(argv_prefix), std::move(handler));
  }

  Result<ProcessResult> run(const Command& command) override {
    std::string joined;
    for (const auto& word : command.argv) joined += (joined.empty() ? "" : " ") + word;
    commands.push_back(joined);
    const Handler* best = nullptr;
    std::size_t length = 0;
    for (const auto& [prefix, handler] : handlers_) {
      if (joined.starts_with(prefix) && (best == nullptr || prefix.size() >= length)) {
        best = &handler;
        length = prefix.size();
      }
    }
    if (best == nullptr) return fail(ErrorKind::internal, "unscripted command: " + joined);
    return (*best)(command);
  }

  std::vector<std::string> commands;  ///< joined argv of everything that was run, in order

 private:
  std::vector<std::pair<std::string, Handler>> handlers_;
};

}  // namespace bedplate

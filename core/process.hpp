#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace bedplate {

/// A program to run. Always an argument vector: no shell takes part. Secrets go through `input` or
/// a file, never through `argv` or `environment`.
struct Command {
  std::vector<std::string> argv;
  std::string input;                               ///< given on standard input, then closed
  std::map<std::string, std::string> environment;  ///< added to ours
  std::filesystem::path directory;                 ///< empty: ours
  std::chrono::milliseconds timeout{std::chrono::minutes{10}};
  /// Called with each complete line of output (stdout and stderr) as it comes; may be empty.
  std::function<void(std::string_view line)> on_line;
};

struct ProcessResult {
  int status = 0;  ///< exit code, or 128 + signal
  std::string out;
  std::string err;
};

/// Runs programs. The seam that tests replace.
class ProcessRunner {
 public:
  virtual ~ProcessRunner() = default;
  /// Runs to the end and returns whatever the exit status was. Errors: dependency (the program does
  /// not exist), timeout (it was killed with its process group), io.
  virtual Result<ProcessResult> run(const Command& command) = 0;

  /// As run, but a status other than 0 is an error of kind process that carries the last lines of
  /// stderr. Returns stdout.
  Result<std::string> check(const Command& command);
  Result<std::string> check(std::vector<std::string> argv);
};

/// The real one: posix_spawn, own process group, killed when we are.
class SystemProcessRunner final : public ProcessRunner {
 public:
  Result<ProcessResult> run(const Command& command) override;
};

/// First match in PATH, or an error of kind dependency whose hint names the Debian package.
Result<std::filesystem::path> find_program(std::string_view name, std::string_view debian_package);

}  // namespace bedplate

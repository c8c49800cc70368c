#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bedplate {

/// What went wrong, as a program may want to know it. The numeric exit code of each kind is stable
/// and listed in docs/errors.md; a kind is never renumbered.
enum class ErrorKind {
  internal,     ///< a bug of ours: exit 1
  usage,        ///< wrong command line: exit 2
  invalid,      ///< input file does not say what it must: exit 3
  not_found,    ///< something named does not exist: exit 4
  io,           ///< reading or writing failed, space ran out: exit 5
  network,      ///< connection refused, lost, timed out: exit 6
  untrusted,    ///< signature missing or wrong, proof refused: exit 7
  corrupt,      ///< digest or structure differs from what was signed: exit 8
  conflict,     ///< the present state forbids the wanted one (data on a disk): exit 9
  ambiguous,    ///< more than one candidate, and none was named: exit 10
  unsupported,  ///< this version or machine cannot do it: exit 11
  dependency,   ///< a program or package that is needed is missing: exit 12
  process,      ///< a program that was run failed: exit 13
  timeout,      ///< waited as long as allowed: exit 14
  cancelled,    ///< stopped by the user: exit 130
};

/// Stable lower-case name, as `--json` and the journal print it.
std::string_view to_string(ErrorKind kind);

/// Exit code of the process that ends with this kind.
int exit_code(ErrorKind kind);

/// One failure, told to the user once: what, while doing what, and what to do next.
///
/// The innermost function says `what`; each caller that knows more adds a line with `during()`.
/// Hints name a command or an edit, never "contact support"; the innermost hint wins.
struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string what;
  std::vector<std::string> during_lines;  ///< innermost first
  std::string hint;

  Error(ErrorKind k, std::string message) : kind(k), what(std::move(message)) {}

  /// Adds what was being done; returns itself so that it can be returned in one expression.
  Error& during(std::string doing) &;
  Error during(std::string doing) &&;
  /// Sets the hint unless a more specific one is there already.
  Error& with_hint(std::string text) &;
  Error with_hint(std::string text) &&;

  /// Lines `error:`, `while:` (outermost last) and `hint:`, each ended by a newline.
  std::string render() const;
  /// {"kind","error","while":[…],"hint"}.
  nlohmann::json to_json() const;
};

/// Error of kind io from errno: "cannot open /x: No such file or directory". ENOENT becomes
/// not_found; ENOSPC and EDQUOT get a hint.
Error system_error(int errno_value, std::string_view action);

}  // namespace bedplate

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace bedplate {

/// Where long work reports to. Libraries know this class only; how it looks is the caller's matter.
/// All calls are thread-safe. Passing nullptr where a `Progress*` is taken means silence.
class Progress {
 public:
  virtual ~Progress() = default;
  /// A new piece of work begins; `total` in bytes, 0 when unknown or not counted in bytes.
  virtual void begin(std::string_view title, std::uint64_t total) = 0;
  /// `bytes` more are done.
  virtual void advance(std::uint64_t bytes) = 0;
  /// A line worth reading, kept on the screen.
  virtual void note(std::string_view line) = 0;
  virtual void end() = 0;
};

/// On a terminal: one line that is rewritten (bytes, rate, time left, and a moving sign when
/// nothing is counted). Elsewhere: time-stamped plain lines, at most one in two seconds. Writes to
/// stderr.
std::unique_ptr<Progress> make_console_progress();

/// "1.4 GiB", "12 B": binary units, one decimal.
std::string format_bytes(std::uint64_t bytes);
/// "3.2 s", "4 min 05 s".
std::string format_duration(std::chrono::milliseconds duration);

}  // namespace bedplate

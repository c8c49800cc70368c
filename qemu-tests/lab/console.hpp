#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bedplate::lab {

/// A line that the installer or the agent wrote for people who watch a console:
/// "bedplate: <phase>[/<step>]: <word>[ (detail)]".
struct ConsoleEvent {
  enum class Word { started, ok, failed, skipped, ready };
  std::string phase;  ///< install, agent or boot
  std::string step;   ///< empty: the phase as a whole
  Word word = Word::started;
  std::string detail;

  friend bool operator==(const ConsoleEvent&, const ConsoleEvent&) = default;
};

/// Nothing for any other line. A kernel time stamp or a log prefix may stand before it.
std::optional<ConsoleEvent> parse_console_line(std::string_view line);

/// The text without terminal control sequences (ECMA-48), carriage returns and other controls.
std::string plain_text(std::string_view text);

/// Reads a console log as it grows, in whole lines, starting at the end it has when made.
class ConsoleReader {
 public:
  explicit ConsoleReader(std::filesystem::path log);
  /// Calls with each new complete line, made plain. Says whether anything came at all.
  bool poll(const std::function<void(std::string_view line)>& on_line);
  /// What was said last, for an error message: at most 20 lines that are not empty.
  std::string last_lines() const;
  const std::filesystem::path& log() const { return log_; }

 private:
  void take(std::string_view chunk, const std::function<void(std::string_view)>& on_line);

  std::filesystem::path log_;
  std::uint64_t offset_ = 0;
  std::string rest_;
  std::deque<std::string> last_;
};

}  // namespace bedplate::lab

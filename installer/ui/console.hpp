#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "core/progress.hpp"
#include "core/step.hpp"

namespace bedplate::installer {

/// The machine's screens: /dev/console (where rehearsals and serial lines look) and standard output
/// (the first virtual terminal when run as a service). No shell anywhere.
class Console {
 public:
  /// `device` may be absent; then only standard output is written.
  /// `keyboard`: where Enter may be pressed besides the device.
  explicit Console(std::filesystem::path device = "/dev/console",
                   std::filesystem::path keyboard = "/dev/tty1");

  /// One line, or several, to both screens.
  void say(std::string_view text);
  /// Long texts: standard output only.
  void page(std::string_view text);
  /// Waits until somebody presses Enter on any screen. False at once when there is none.
  bool wait_for_enter();

 private:
  std::filesystem::path device_;
  std::filesystem::path keyboard_;
  bool same_ = false;  ///< standard output is the console already
};

/// Prints each step's changes as `bedplate: install/<step>: <word>[ (detail)]`.
class ConsoleObserver final : public StepObserver {
 public:
  explicit ConsoleObserver(Console& console) : console_(console) {}
  void on_step(const StepEvent& event) override;

 private:
  Console& console_;
  std::string applying_;
};

/// The line for a change; empty for one that is not told. `applied`: the step did something.
std::string step_line(const StepEvent& event, bool applied);

/// Progress for a person: a line on standard output every two seconds at most.
std::unique_ptr<Progress> make_install_progress(Console& console);

}  // namespace bedplate::installer

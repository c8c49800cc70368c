#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace bedplate::log {

enum class Level { debug, info, warning, error };

/// A journal field (systemd.journal-fields(7)): upper-case name, any value.
using Field = std::pair<std::string_view, std::string_view>;

/// Where lines go: stderr by default; the journal with its fields when the process runs as a
/// systemd service (JOURNAL_STREAM names our stderr). Call once at the start.
void setup(Level minimum);

void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace bedplate::log

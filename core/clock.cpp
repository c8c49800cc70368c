#include "core/clock.hpp"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <thread>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace bedplate {

WallTime SystemClock::now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

std::chrono::milliseconds SystemClock::monotonic() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now().time_since_epoch());
}

void SystemClock::sleep(std::chrono::milliseconds duration) {
  std::this_thread::sleep_for(duration);
}

Result<void> SystemClock::set(WallTime time) {
  const timespec spec{.tv_sec = time.time_since_epoch().count(), .tv_nsec = 0};
  if (::clock_settime(CLOCK_REALTIME, &spec) != 0) {
    return fail(system_error(errno, "cannot set the clock"));
  }
  return {};
}

std::string format_rfc3339(WallTime time) {
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", parts);
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  std::tm parts{};
  int consumed = 0;
  const std::string copy(text.substr(0, 40));
  const int fields =
      std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &parts.tm_year, &parts.tm_mon,
                  &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &consumed);
  if (fields != 6 || consumed != 20 || text.size() != 20) {
    return fail(ErrorKind::invalid,
                fmt::format("'{}' is not a time of the form 2026-01-31T12:00:00Z", copy));
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const std::time_t seconds = ::timegm(&parts);
  const WallTime time{std::chrono::seconds{seconds}};
  // timegm carries 31 February over to March; such input is refused instead.
  if (format_rfc3339(time) != text) {
    return fail(ErrorKind::invalid, fmt::format("'{}' is not a date that exists", copy));
  }
  return time;
}

}  // namespace bedplate

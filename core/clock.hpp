#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace bedplate {

using WallTime = std::chrono::sys_seconds;

/// Time, as a seam: tests move it by hand.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime now() = 0;
  /// Monotonic; counts from an arbitrary origin.
  virtual std::chrono::milliseconds monotonic() = 0;
  virtual void sleep(std::chrono::milliseconds duration) = 0;
  /// Sets the machine's clock. ErrorKind::io without the right to.
  virtual Result<void> set(WallTime time) = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime now() override;
  std::chrono::milliseconds monotonic() override;
  void sleep(std::chrono::milliseconds duration) override;
  Result<void> set(WallTime time) override;
};

class FakeClock final : public Clock {
 public:
  WallTime wall{std::chrono::seconds{1'000'000'000}};
  std::chrono::milliseconds uptime{0};
  WallTime now() override { return wall; }
  std::chrono::milliseconds monotonic() override { return uptime; }
  void sleep(std::chrono::milliseconds duration) override {
    uptime += duration;
    wall += std::chrono::duration_cast<std::chrono::seconds>(duration);
  }
  Result<void> set(WallTime time) override {
    wall = time;
    return {};
  }
};

/// RFC 3339 in UTC with whole seconds: 2026-11-23T15:00:00Z.
std::string format_rfc3339(WallTime time);
Result<WallTime> parse_rfc3339(std::string_view text);

}  // namespace bedplate

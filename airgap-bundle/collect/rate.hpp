#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string_view>

#include "core/clock.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// Bounds what all threads together take from the network.
class RateLimit {
 public:
  /// 0: no bound. The clock must outlive this.
  RateLimit(std::uint64_t bytes_per_second, Clock& clock)
      : rate_(bytes_per_second), clock_(clock) {}
  /// Counts `bytes` that came; returns when they may have come. Up to half a second is caught up.
  void take(std::uint64_t bytes);

 private:
  const std::uint64_t rate_;
  Clock& clock_;
  std::mutex mutex_;
  std::chrono::microseconds free_at_{0};  ///< on the monotonic clock
};

/// "800K", "10M", "1.5G": bytes, in units of 1024, as curl's --limit-rate has it.
Result<std::uint64_t> parse_rate(std::string_view text);

}  // namespace bedplate::collect

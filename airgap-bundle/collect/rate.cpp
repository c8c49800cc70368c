#include "airgap-bundle/collect/rate.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/size.hpp"

namespace bedplate::collect {
namespace {

constexpr std::chrono::microseconds credit{500'000};

}  // namespace

void RateLimit::take(std::uint64_t bytes) {
  if (rate_ == 0) return;
  std::chrono::microseconds wait{0};
  {
    const std::lock_guard lock(mutex_);
    const std::chrono::microseconds now = clock_.monotonic();
    free_at_ = std::max(free_at_, now - credit);
    free_at_ += std::chrono::microseconds(
        static_cast<std::int64_t>(static_cast<double>(bytes) * 1e6 / static_cast<double>(rate_)));
    wait = free_at_ - now;
  }
  if (wait >= std::chrono::milliseconds(1)) {
    clock_.sleep(std::chrono::duration_cast<std::chrono::milliseconds>(wait));
  }
}

Result<std::uint64_t> parse_rate(std::string_view text) {
  if (const auto bytes = parse_bytes(text, 1024)) return *bytes;
  return fail(ErrorKind::usage, fmt::format("'{}' is not a size", text),
              "write bytes, or a number with K, M, G or T: 10M");
}

}  // namespace bedplate::collect

#include "airgap-bundle/collect/rate.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

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
  constexpr std::string_view units = "KMGT";
  double value = 0;
  const auto* begin = text.data();
  const auto* end = begin + text.size();
  const auto parsed = std::from_chars(begin, end, value);
  const std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  const auto power = unit.empty() ? std::string_view::npos : units.find(unit[0]);
  const bool known = unit.empty() || (unit.size() == 1 && power != std::string_view::npos);
  for (std::size_t i = 0; known && !unit.empty() && i <= power; ++i) value *= 1024;
  if (parsed.ec == std::errc{} && known && value >= 1 && value < 1e18) {
    return static_cast<std::uint64_t>(value);
  }
  return fail(ErrorKind::usage, fmt::format("'{}' is not a size", text),
              "write bytes, or a number with K, M, G or T: 10M");
}

}  // namespace bedplate::collect

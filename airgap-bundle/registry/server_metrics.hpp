#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "airgap-bundle/registry/server_content.hpp"
#include "core/clock.hpp"
#include "core/http_server.hpp"

namespace bedplate::registry {

/// Counts what a served set of bundles does. Any thread may count.
class Metrics {
 public:
  void count(const ServerRecord& record);
  /// A set of bundles was taken into service or refused.
  void reloaded(bool success, WallTime at);

  /// Prometheus' text exposition format, version 0.0.4. `dropped` are lines that the access log
  /// had no room for.
  std::string text(const ServerStatistics& server, const Content& content,
                   std::uint64_t dropped) const;

 private:
  static constexpr std::size_t methods = 3;
  static constexpr std::size_t kinds = 6;
  static constexpr std::size_t statuses = 10;

  std::array<std::atomic<std::uint64_t>, methods * kinds * statuses> requests_{};
  std::atomic<std::uint64_t> body_bytes_{0};
  std::atomic<std::uint64_t> aborted_{0};
  std::atomic<std::uint64_t> reloads_done_{0};
  std::atomic<std::uint64_t> reloads_refused_{0};
  std::atomic<bool> last_reload_{true};
  std::atomic<std::int64_t> last_reload_at_{0};  ///< seconds since 1970; 0: never
};

}  // namespace bedplate::registry

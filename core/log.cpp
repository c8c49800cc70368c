#include "core/log.hpp"

#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/uio.h>
#include <syslog.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

namespace bedplate::log {
namespace {

std::atomic<Level> minimum_level{Level::info};
std::atomic<bool> to_journal{false};

int priority_of(Level level) {
  switch (level) {
    case Level::debug:
      return LOG_DEBUG;
    case Level::info:
      return LOG_INFO;
    case Level::warning:
      return LOG_WARNING;
    case Level::error:
      return LOG_ERR;
  }
  return LOG_INFO;
}

spdlog::level::level_enum spdlog_level(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

void send_to_journal(Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::vector<std::string> entries;
  entries.push_back(fmt::format("MESSAGE={}", message));
  entries.push_back(fmt::format("PRIORITY={}", priority_of(level)));
  entries.emplace_back("SYSLOG_IDENTIFIER=bedplate");
  for (const auto& [name, value] : fields) entries.push_back(fmt::format("{}={}", name, value));
  std::vector<iovec> vectors;
  for (auto& entry : entries) vectors.push_back({entry.data(), entry.size()});
  sd_journal_sendv(vectors.data(), static_cast<int>(vectors.size()));
}

}  // namespace

void setup(Level minimum) {
  minimum_level = minimum;
  to_journal = std::getenv("JOURNAL_STREAM") != nullptr;
  auto logger = spdlog::get("bedplate");
  if (!logger) logger = spdlog::stderr_color_mt("bedplate");
  logger->set_pattern("%Y-%m-%dT%H:%M:%SZ %^%l%$: %v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog_level(minimum));
  spdlog::set_default_logger(logger);
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (level < minimum_level.load()) return;
  if (to_journal) {
    send_to_journal(level, message, fields);
    return;
  }
  spdlog::log(spdlog_level(level), "{}", message);
}

}  // namespace bedplate::log

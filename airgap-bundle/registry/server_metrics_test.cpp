#include "airgap-bundle/registry/server_metrics.hpp"

#include <array>
#include <regex>
#include <sstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airgap-bundle/registry/server_log.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ServerRecord record(std::string_view method, std::string_view kind, int status) {
  ServerRecord out;
  out.method = method;
  out.kind = kind;
  out.status = status;
  out.bytes = 10;
  out.complete = status != 206;
  return out;
}

TEST(ServerMetrics, CountWhatWasAskedAndWhatBecameOfIt) {
  registry::Metrics metrics;
  metrics.count(record("GET", "manifests", 200));
  metrics.count(record("GET", "manifests", 200));
  metrics.count(record("HEAD", "blobs", 404));
  metrics.count(record("BREW", "pots", 418));
  metrics.count(record("GET", "blobs", 206));
  metrics.reloaded(true, WallTime(std::chrono::seconds(1000)));
  metrics.reloaded(false, WallTime(std::chrono::seconds(2000)));
  ServerStatistics server;
  server.open = 3;
  const auto content = registry::Content::merge({});
  ASSERT_OK(content);
  const auto text = metrics.text(server, **content, 7);
  for (const auto* line :
       {"bedplate_registry_requests_total{method=\"GET\",kind=\"manifests\",status=\"200\"} 2\n",
        "bedplate_registry_requests_total{method=\"HEAD\",kind=\"blobs\",status=\"404\"} 1\n",
        "bedplate_registry_requests_total{method=\"other\",kind=\"other\",status=\"other\"} 1\n",
        "bedplate_registry_response_body_bytes_total 50\n", "bedplate_registry_connections 3\n",
        "bedplate_registry_requests_aborted_total 1\n", "bedplate_registry_last_reload_success 0\n",
        "bedplate_registry_last_reload_timestamp_seconds 2000\n",
        "bedplate_registry_reloads_total{result=\"failure\"} 1\n",
        "bedplate_registry_access_log_dropped_total 7\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  // Exposition format 0.0.4: comments of two kinds, else a name, labels, a number.
  const std::regex form(
      R"(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9]+)");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(std::regex_match(line, form)) << line;
  }
}

TEST(AccessLog, WhatClientsSendStaysJson) {
  auto asked = record("GET", "other", 404);
  const std::string long_path = std::string("/\"\\\x01\xff") + std::string(5000, 'x');
  asked.target = long_path;
  asked.duration = std::chrono::microseconds(1'002'003);
  std::string line;
  registry::append_access_line(line, asked,
                               std::chrono::system_clock::time_point(std::chrono::milliseconds(5)));
  const auto value = parse_json(line, "the line");
  ASSERT_OK(value);
  EXPECT_EQ((*value)["path"].get<std::string>().substr(0, 6), "/\"\\\x01\u00ff");
  EXPECT_LT(line.size(), 2000U);
  EXPECT_EQ((*value)["time"], "1970-01-01T00:00:00.005Z");
  EXPECT_THAT(line, HasSubstr("\"seconds\":1.002003,"));
  EXPECT_FALSE(value->contains("aborted"));
}

TEST(AccessLog, LinesOfManyThreadsAreAllThere) {
  auto folder = TemporaryDirectory::create("bedplate-log");
  ASSERT_OK(folder);
  const auto path = (folder->path() / "log").string();
  {
    auto log = registry::AccessLog::open(path);
    ASSERT_OK(log);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 500; ++n) (*log)->write(record("GET", "blobs", 200));
      });
    }
    threads.clear();
    EXPECT_EQ((*log)->dropped(), 0U);
  }
  std::istringstream lines(*read_file(path));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    ASSERT_TRUE(parse_json(line, "a line")) << line;
  }
  EXPECT_EQ(count, 2000);
}

TEST(AccessLog, AReaderThatStopsStopsNobody) {
  auto folder = TemporaryDirectory::create("bedplate-log");
  ASSERT_OK(folder);
  const auto path = (folder->path() / "pipe").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK));
  auto log = registry::AccessLog::open(path);
  ASSERT_OK(log);
  // More than a pipe holds, so that nobody could write it all.
  for (int i = 0; i < 3000; ++i) (*log)->write(record("GET", "blobs", 200));
  (*log)->flush();
  EXPECT_GT((*log)->dropped(), 0U);
  EXPECT_TRUE((*log)->reopen());
  std::string text;
  const auto drain = [&] {
    std::array<char, 4096> part{};
    for (ssize_t n = 0; (n = ::read(reader.get(), part.data(), part.size())) > 0;) {
      text.append(part.data(), static_cast<std::size_t>(n));
    }
  };
  drain();
  (*log)->write(record("AFTER", "blobs", 200));
  (*log)->flush();
  drain();
  log->reset();  // ends though nobody reads
  std::istringstream lines(text);
  int broken = 0;
  std::string last;
  for (std::string line; std::getline(lines, line); last = line) {
    if (!parse_json(line, "a line")) ++broken;
  }
  EXPECT_LE(broken, 1) << "the one in the middle of which nobody read on";
  EXPECT_THAT(last, HasSubstr("AFTER"));
  EXPECT_TRUE(parse_json(last, "the last line"));
}

TEST(AccessLog, AFileThatCannotBeMadeIsAnError) {
  const auto log = registry::AccessLog::open("/nonexistent/folder/log");
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error().hint, HasSubstr("--access-log"));
}

}  // namespace
}  // namespace bedplate::bundle_test

#include "airgap-bundle/registry/server_metrics.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>

#include <fmt/format.h>

namespace bedplate::registry {
namespace {

// The last of each list is everything else: what a client invents makes no new series.
constexpr std::array<std::string_view, 3> method_names{"GET", "HEAD", "other"};
constexpr std::array<std::string_view, 6> kind_names{"base", "manifests", "blobs",
                                                     "tags", "referrers", "other"};
constexpr std::array<int, 10> status_codes{200, 206, 304, 400, 404, 405, 416, 431, 500, 0};

template <class List, class Value>
std::size_t index_of(const List& list, const Value& value) {
  const auto found = std::ranges::find(list, value);
  return std::min(static_cast<std::size_t>(found - list.begin()), list.size() - 1);
}

void head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void single(std::string& out, std::string_view name, std::string_view type, std::string_view help,
            std::uint64_t value) {
  head(out, name, type, help);
  fmt::format_to(std::back_inserter(out), "{} {}\n", name, value);
}

}  // namespace

void Metrics::count(const ServerRecord& record) {
  static_assert(methods == method_names.size() && kinds == kind_names.size() &&
                statuses == status_codes.size());
  const auto at =
      (index_of(method_names, record.method) * kinds + index_of(kind_names, record.kind)) *
          statuses +
      index_of(status_codes, record.status);
  requests_[at].fetch_add(1, std::memory_order_relaxed);
  body_bytes_.fetch_add(record.bytes, std::memory_order_relaxed);
  if (!record.complete) aborted_.fetch_add(1, std::memory_order_relaxed);
}

void Metrics::reloaded(bool success, WallTime at) {
  ++(success ? reloads_done_ : reloads_refused_);
  last_reload_ = success;
  last_reload_at_ = at.time_since_epoch().count();
}

std::string Metrics::text(const ServerStatistics& server, const Content& content,
                          std::uint64_t dropped) const {
  std::string out;
  head(out, "bedplate_build_info", "gauge", "The version that serves; always 1.");
  out += "bedplate_build_info{version=\"" BEDPLATE_VERSION "\"} 1\n";
  head(out, "bedplate_registry_requests_total", "counter", "Requests that were answered.");
  for (std::size_t at = 0; at < requests_.size(); ++at) {
    const auto value = requests_[at].load(std::memory_order_relaxed);
    if (value == 0) continue;
    const int status = status_codes[at % statuses];
    fmt::format_to(
        std::back_inserter(out),
        "bedplate_registry_requests_total{{method=\"{}\",kind=\"{}\",status=\"{}\"}} {}\n",
        method_names[at / statuses / kinds], kind_names[at / statuses % kinds],
        status == 0 ? "other" : std::to_string(status), value);
  }
  single(out, "bedplate_registry_requests_aborted_total", "counter",
         "Answers that were not sent whole.", aborted_);
  single(out, "bedplate_registry_response_body_bytes_total", "counter",
         "Bytes of bodies of answers that have ended.", body_bytes_);
  single(out, "bedplate_registry_sent_bytes_total", "counter",
         "Bytes sent so far, headers and answers under way included.", server.bytes);
  single(out, "bedplate_registry_connections", "gauge", "Connections that are open.", server.open);
  single(out, "bedplate_registry_connections_accepted_total", "counter", "Connections accepted.",
         server.accepted);
  single(out, "bedplate_registry_connections_refused_total", "counter",
         "Connections closed at once because there were too many.", server.refused);
  single(out, "bedplate_registry_connections_timed_out_total", "counter",
         "Connections closed because nothing happened on them.", server.timed_out);
  single(out, "bedplate_registry_bundles", "gauge", "Bundles that are served.",
         content.bundle_count());
  single(out, "bedplate_registry_blobs", "gauge", "Different blobs that are served.",
         content.blob_count());
  single(out, "bedplate_registry_blob_bytes", "gauge", "Bytes of these blobs.",
         content.blob_bytes());
  single(out, "bedplate_registry_last_reload_success", "gauge",
         "1 when the bundles were read well the last time, else 0.", last_reload_ ? 1 : 0);
  single(out, "bedplate_registry_last_reload_timestamp_seconds", "gauge",
         "When they were read the last time.", static_cast<std::uint64_t>(last_reload_at_.load()));
  head(out, "bedplate_registry_reloads_total", "counter", "How often the bundles were read.");
  fmt::format_to(std::back_inserter(out),
                 "bedplate_registry_reloads_total{{result=\"success\"}} {}\n"
                 "bedplate_registry_reloads_total{{result=\"failure\"}} {}\n",
                 reloads_done_.load(), reloads_refused_.load());
  single(out, "bedplate_registry_access_log_dropped_total", "counter",
         "Lines of the access log that were lost because it could not be written fast enough.",
         dropped);
  return out;
}

}  // namespace bedplate::registry

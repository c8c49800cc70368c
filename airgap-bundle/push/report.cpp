#include "airgap-bundle/push/report.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace bedplate::push {
namespace {

std::string place_of(const ItemPlan& item) {
  auto shown = item.target;
  if (!shown.tag.empty()) shown.digest.reset();
  if (shown.tag.empty()) shown.digest = item.digest;
  return shown.str();
}

/// Places that the manifests of an item need and that are not there.
std::set<std::size_t> missing_places(const Plan& plan, const ItemPlan& item) {
  std::set<std::size_t> out;
  for (const auto& manifest : item.manifests) {
    if (manifest.present) continue;
    for (const auto place : manifest.places) {
      if (!plan.places[place].present) out.insert(place);
    }
  }
  return out;
}

/// Bytes that are sent for each item; a blob counts for the first item that needs it.
std::vector<std::uint64_t> bytes_by_item(const Plan& plan) {
  std::vector<std::uint64_t> out;
  std::set<std::size_t> counted;
  for (const auto& item : plan.items) {
    std::uint64_t sum = 0;
    for (const auto place : missing_places(plan, item)) {
      const auto blob = plan.places[place].blob;
      if (!item.error && plan.is_sent(plan.blobs[blob]) && counted.insert(blob).second) {
        sum += plan.blobs[blob].size;
      }
    }
    out.push_back(sum);
  }
  return out;
}

std::optional<Digest> replaced(const ItemPlan& item) {
  if (item.manifests.empty()) return std::nullopt;
  return item.manifests.back().replaces;
}

Json item_json(const ItemPlan& item) {
  Json out{{"kind", to_string(item.kind)},
           {"name", item.name},
           {"target", place_of(item)},
           {"digest", item.digest.str()}};
  if (const auto before = replaced(item)) out["replaces"] = before->str();
  return out;
}

std::string_view state_of(const ItemReport& report) {
  if (!report.errors.empty()) return "failed";
  return report.wrote ? "pushed" : "already there";
}

constexpr std::string_view why_not_possible =
    "images for other platforms are not in the bundle, and this registry wants them: served by "
    "the bundle registry as fallback";

/// How the blobs of an item came there.
Json blobs_json(const Plan& plan, const ItemPlan& item, const Report& report) {
  std::set<std::size_t> places;
  for (const auto& manifest : item.manifests) {
    places.insert(manifest.places.begin(), manifest.places.end());
  }
  std::uint64_t sent = 0;
  std::uint64_t bytes = 0;
  std::uint64_t mounted = 0;
  std::uint64_t there = 0;
  for (const auto place : places) {
    const auto& outcome = report.places[place];
    if (!outcome) {
      there += plan.places[place].present || !plan.places[place].needed ? 1 : 0;
    } else if (*outcome == registry::BlobOutcome::mounted) {
      ++mounted;
    } else {
      ++sent;
      bytes += plan.blobs[plan.places[place].blob].size;
    }
  }
  return {{"sent", sent}, {"sentBytes", bytes}, {"mounted", mounted}, {"alreadyThere", there}};
}

}  // namespace

Json plan_json(const Plan& plan, const Target& target) {
  Json items = Json::array();
  const auto bytes = bytes_by_item(plan);
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const auto& item = plan.items[i];
    auto entry = item_json(item);
    entry["state"] = item.error             ? "failed"
                     : Plan::complete(item) ? "already there"
                                            : "to be pushed";
    entry["bytes"] = bytes[i];
    entry["missingBlobs"] = missing_places(plan, item).size();
    if (item.error) entry["error"] = item.error->to_json();
    items.push_back(std::move(entry));
  }
  return {{"to", target.str()}, {"dryRun", true}, {"items", items}, {"bytes", plan.bytes()}};
}

std::string plan_text(const Plan& plan, const Target& target) {
  std::string out;
  const auto bytes = bytes_by_item(plan);
  std::size_t there = 0;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const auto& item = plan.items[i];
    if (item.error) {
      out += fmt::format("failed         {}: {}\n", place_of(item), item.error->what);
    } else if (Plan::complete(item)) {
      ++there;
      out += fmt::format("already there  {}\n", place_of(item));
    } else {
      const auto before = replaced(item);
      out +=
          fmt::format("to be pushed   {}: {} of blobs{}\n", place_of(item), format_bytes(bytes[i]),
                      before ? ", instead of " + before->str() : std::string());
    }
  }
  return out + fmt::format("{}: {} of {} are already there, {} will be sent\n", target.str(), there,
                           plan.items.size(), format_bytes(plan.bytes()));
}

Json report_json(const Outcome& outcome, const Target& target) {
  const auto& [plan, report] = outcome;
  Json items = Json::array();
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    auto entry = item_json(plan.items[i]);
    entry["state"] = state_of(report.items[i]);
    entry["blobs"] = blobs_json(plan, plan.items[i], report);
    for (const auto& digest : report.items[i].not_possible) {
      entry["notPossible"].push_back({{"digest", digest.str()}, {"reason", why_not_possible}});
    }
    for (const auto& error : report.items[i].errors) entry["errors"].push_back(error.to_json());
    items.push_back(std::move(entry));
  }
  return {{"to", target.str()},
          {"items", items},
          {"failed", report.failed},
          {"blobs",
           {{"sent", report.sent_blobs},
            {"sentBytes", report.sent_bytes},
            {"mounted", report.mounted_blobs},
            {"alreadyThere", report.present_blobs}}}};
}

std::string report_text(const Outcome& outcome, const Target& target) {
  const auto& [plan, report] = outcome;
  std::string out;
  std::size_t pushed = 0;
  std::size_t there = 0;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const auto state = state_of(report.items[i]);
    pushed += state == "pushed" ? 1 : 0;
    there += state == "already there" ? 1 : 0;
    out += fmt::format("{:<14} {}\n", state, place_of(plan.items[i]));
    for (const auto& digest : report.items[i].not_possible) {
      out += fmt::format("  not possible: index {}: {}\n", digest.str(), why_not_possible);
    }
  }
  out += fmt::format("{}: {} pushed, {} already there, {} failed; ", target.str(), pushed, there,
                     report.failed);
  return out + fmt::format("{} blobs sent ({}), {} taken over within the registry\n",
                           report.sent_blobs, format_bytes(report.sent_bytes),
                           report.mounted_blobs);
}

}  // namespace bedplate::push

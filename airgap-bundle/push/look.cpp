#include <algorithm>
#include <atomic>
#include <thread>

#include <fmt/format.h>

#include "airgap-bundle/push/plan.hpp"

namespace bedplate::push {
namespace {

/// What the item's names mean at the registry now.
Result<void> look_at(ItemPlan& item, const Destination& destination, HttpClient& http) {
  BP_TRY(auto uploader, destination.open(http, item.target.repository));
  // From the tag on: a tag that is right answers for the same manifest by its digest.
  for (auto it = item.manifests.rbegin(); it != item.manifests.rend(); ++it) {
    const auto same = std::ranges::find_if(item.manifests, [&](const ManifestPlan& other) {
      return other.digest == it->digest && other.present;
    });
    if (same != item.manifests.end() && it->reference == it->digest.str()) {
      it->present = true;
      continue;
    }
    BP_TRY(const auto there, uploader.find_manifest(it->reference));
    it->present = there == it->digest;
    if (there && !it->present) it->replaces = *there;
  }
  for (const auto& manifest : item.manifests) {
    if (manifest.absent_here && !manifest.present) {
      return fail(ErrorKind::not_found,
                  fmt::format("manifest {} is neither in this bundle nor in the registry",
                              manifest.digest.str()),
                  "this is a differential bundle: push its base first");
    }
  }
  return {};
}

Result<void> look_at(Place& place, const BlobPlan& blob, const Destination& destination,
                     HttpClient& http) {
  BP_TRY(auto uploader, destination.open(http, place.repository));
  BP_TRY(place.present, uploader.has_blob(blob.digest, blob.size));
  return {};
}

template <class Question>
std::optional<Error> ask(const Destination& destination, const Question& question) {
  if (auto given_up = destination.reach.given_up()) return given_up;
  Result<void> answer = question();
  destination.reach.note(answer ? nullptr : &answer.error());
  if (answer) return std::nullopt;
  return std::move(answer).error();
}

}  // namespace

Result<registry::Uploader> Destination::open(HttpClient& http,
                                             const std::string& repository) const {
  oci::Reference reference{options.target.registry, repository, {}, {}};
  BP_TRY(auto endpoint, access.endpoint(reference));
  if (options.clock != nullptr) endpoint.options.clock = options.clock;
  return registry::Uploader(http, std::move(reference), std::move(endpoint.options), settings);
}

void in_parallel(std::size_t count, const Options& options,
                 const std::function<void(std::size_t, HttpClient&)>& action) {
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::min<std::size_t>(options.workers, count); ++i) {
    threads.emplace_back([&] {
      const auto http = options.http();
      for (auto index = next++; index < count; index = next++) action(index, *http);
    });
  }
}

Result<void> look(Plan& plan, const Destination& destination, Progress* progress) {
  if (plan.items.empty()) return {};
  const auto& options = destination.options;
  if (progress != nullptr) progress->begin("asking the registry what is there", 0);
  {
    const auto http = options.http();
    BP_TRY(auto uploader, destination.open(*http, plan.items.front().target.repository));
    BP_CHECK(uploader.check());
  }
  in_parallel(plan.items.size(), options, [&](std::size_t i, HttpClient& http) {
    auto& item = plan.items[i];
    if (item.error) return;
    item.error = ask(destination, [&] { return look_at(item, destination, http); });
  });
  for (const auto& item : plan.items) {
    if (item.error) continue;
    for (const auto& manifest : item.manifests) {
      if (manifest.present) continue;
      for (const auto place : manifest.places) plan.places[place].needed = true;
    }
  }
  // Who has a manifest has its blobs: other repositories can take them over from there.
  for (const auto& item : plan.items) {
    for (const auto& manifest : item.manifests) {
      for (const auto i : manifest.places) {
        auto& place = plan.places[i];
        if (manifest.present && !place.needed) place.present = true;
      }
    }
  }
  std::vector<std::size_t> needed;
  for (std::size_t i = 0; i < plan.places.size(); ++i) {
    if (plan.places[i].needed) needed.push_back(i);
  }
  in_parallel(needed.size(), options, [&](std::size_t i, HttpClient& http) {
    auto& place = plan.places[needed[i]];
    const auto& blob = plan.blobs[place.blob];
    place.error = ask(destination, [&] { return look_at(place, blob, destination, http); });
  });
  if (progress != nullptr) progress->end();
  return {};
}

}  // namespace bedplate::push

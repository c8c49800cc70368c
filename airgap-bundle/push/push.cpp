#include "airgap-bundle/push/push.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>

#include <fmt/format.h>

#include "airgap-bundle/collect/rate.hpp"
#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/push/referrers.hpp"

namespace bedplate::push {
namespace {

/// Tasks that may make others; ended when none is left and none is running.
class Queue {
 public:
  using Task = std::function<void(HttpClient&)>;

  void push(Task task, bool first) {
    const std::lock_guard lock(mutex_);
    if (first) {
      tasks_.push_front(std::move(task));
    } else {
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

  void work(HttpClient& http) {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return !tasks_.empty() || running_ == 0; });
      if (tasks_.empty()) break;
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      ++running_;
      lock.unlock();
      task(http);
      lock.lock();
      --running_;
    }
    wake_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  std::size_t running_ = 0;
};

/// A refusal that is the registry's opinion of an index with absent children (Harbor, distribution)
/// and not of who asks, how often, or how much.
bool is_opinion(int status) {
  return status >= 400 && status < 500 && status != 401 && status != 403 && status != 408 &&
         status != 413 && status != 429;
}

class Execution {
 public:
  Execution(const bundle::Reader& reader, const Plan& plan, const Destination& destination,
            Progress* progress)
      : reader_(reader), plan_(plan), destination_(destination), progress_(progress) {
    report_.items.resize(plan.items.size());
    report_.places.resize(plan.places.size());
    states_.resize(plan.places.size());
    waiting_.resize(plan.items.size());
    users_.resize(plan.places.size());
  }

  Report run() {
    prepare();
    in_parallel(destination_.options.workers, destination_.options,
                [this](std::size_t, HttpClient& http) { queue_.work(http); });
    for (std::size_t i = 0; i < plan_.places.size(); ++i) count(i);
    for (const auto& item : report_.items) report_.failed += item.errors.empty() ? 0 : 1;
    return std::move(report_);
  }

 private:
  struct PlaceState {
    bool placed = false;
    std::optional<registry::BlobOutcome> outcome;
    std::optional<Error> error;
  };

  /// Blobs, the largest first since one that begins last would end alone; and what needs none.
  void prepare() {
    for (std::size_t i = 0; i < plan_.items.size(); ++i) {
      const auto& item = plan_.items[i];
      if (item.error) {
        report_.items[i].errors.push_back(*item.error);
        continue;
      }
      for (const auto& manifest : item.manifests) {
        if (manifest.present) continue;
        for (const auto place : manifest.places) {
          if (!is_missing(place) || std::ranges::find(users_[place], i) != users_[place].end()) {
            continue;
          }
          users_[place].push_back(i);
          ++waiting_[i];
        }
      }
      if (waiting_[i] == 0) start_item(i);
    }
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < plan_.blobs.size(); ++i) {
      if (std::ranges::any_of(plan_.blobs[i].places,
                              [&](std::size_t place) { return !users_[place].empty(); })) {
        order.push_back(i);
      }
    }
    std::ranges::stable_sort(order, std::greater(), [&](auto i) { return plan_.blobs[i].size; });
    for (const auto i : order) {
      queue_.push([this, i](HttpClient& http) { place_blob(i, http); }, false);
    }
  }

  bool is_missing(std::size_t place) const {
    const auto& it = plan_.places[place];
    return it.needed && !it.present;
  }

  void start_item(std::size_t i) {
    queue_.push([this, i](HttpClient& http) { push_item(i, http); }, true);
  }

  /// Sends a blob to the first repository that takes it; the others then take it over from there.
  void place_blob(std::size_t index, HttpClient& http) {
    const auto& blob = plan_.blobs[index];
    std::string from;
    std::deque<std::size_t> missing;
    for (const auto place : blob.places) {
      if (plan_.places[place].present) from = plan_.places[place].repository;
      if (!users_[place].empty()) missing.push_back(place);
    }
    while (from.empty() && !missing.empty()) {
      const auto place = missing.front();
      missing.pop_front();
      if (settle(place, send(place, {}, http))) from = plan_.places[place].repository;
    }
    for (const auto place : missing) {
      queue_.push([this, place, from](HttpClient& own) { settle(place, send(place, from, own)); },
                  true);
    }
  }

  Result<registry::BlobOutcome> send(std::size_t index, const std::string& from, HttpClient& http) {
    if (auto stopped = destination_.reach.given_up()) return fail(std::move(*stopped));
    const auto& place = plan_.places[index];
    const auto& blob = plan_.blobs[place.blob];
    if (place.error) return fail(*place.error);
    BP_TRY(auto uploader, destination_.open(http, place.repository));
    if (blob.source != nullptr) {
      return uploader.push_blob(blob.digest, {reader_.fd(), blob.source->offset, blob.source->size},
                                from);
    }
    auto mounted =
        from.empty() ? fail(ErrorKind::not_found, "") : uploader.mount_blob(blob.digest, from);
    if (mounted) return registry::BlobOutcome::mounted;
    if (mounted.error().kind != ErrorKind::not_found) {
      return fail(std::move(mounted).error().during(
          fmt::format("taking over blob {} from {}, which this differential bundle leaves out",
                      blob.digest.str(), from)));
    }
    return fail(
        ErrorKind::not_found,
        fmt::format("blob {} is neither in this bundle nor in the registry", blob.digest.str()),
        "this is a differential bundle: push its base first");
  }

  /// Notes how it went, and starts the items that waited for it alone.
  bool settle(std::size_t index, Result<registry::BlobOutcome> outcome) {
    destination_.reach.note(outcome ? nullptr : &outcome.error());
    const std::lock_guard lock(mutex_);
    auto& state = states_[index];
    state.placed = outcome.has_value();
    if (outcome) {
      state.outcome = *outcome;
    } else {
      state.error = outcome.error();
    }
    for (const auto item : users_[index]) {
      if (--waiting_[item] == 0) start_item(item);
    }
    return outcome.has_value();
  }

  std::optional<Error> missing_blob(const ManifestPlan& manifest) {
    const std::lock_guard lock(mutex_);
    for (const auto place : manifest.places) {
      if (is_missing(place) && !states_[place].placed) return states_[place].error;
    }
    return std::nullopt;
  }

  void push_item(std::size_t index, HttpClient& http) {
    const auto& item = plan_.items[index];
    auto& report = report_.items[index];
    for (const auto& manifest : item.manifests) {
      auto pushed = push_manifest(item, manifest, report, http);
      if (pushed) continue;
      destination_.reach.note(&pushed.error());
      report.errors.push_back(std::move(pushed).error());
      // An image is worth having without a signature; without its content it is nothing.
      if (manifest.role != Role::referrer) break;
    }
    if (report.errors.empty()) destination_.reach.note(nullptr);
    if (progress_ == nullptr) return;
    for (const auto& error : report.errors) {
      progress_->note(fmt::format("failed: {}: {}", item.name, error.what));
    }
  }

  Result<void> push_manifest(const ItemPlan& item, const ManifestPlan& manifest, ItemReport& report,
                             HttpClient& http) {
    if (manifest.present && manifest.role != Role::referrer) return {};
    if (auto stopped = destination_.reach.given_up()) return fail(std::move(*stopped));
    BP_TRY(auto uploader, destination_.open(http, item.target.repository));
    bool listed = false;
    if (!manifest.present) {
      if (auto error = missing_blob(manifest)) return fail(std::move(*error));
      BP_TRY(const auto content, reader_.blob(manifest.digest));
      BP_TRY(const auto answer,
             uploader.push_manifest(manifest.reference, manifest.media_type, content));
      if (answer.refused) return settle_refusal(manifest, answer, report);
      report.wrote = true;
      listed = answer.lists_referrer;
    }
    if (!manifest.subject || listed || manifest.absent_here) return {};
    BP_TRY(const auto content, reader_.blob(manifest.digest));
    BP_TRY(const auto referrer, referrer_descriptor(content, manifest.media_type));
    const std::lock_guard lock(listing_);
    BP_CHECK_DURING("listing a referrer of " + manifest.subject->str(),
                    list_referrer(uploader, *manifest.subject, referrer));
    return {};
  }

  static Result<void> settle_refusal(const ManifestPlan& manifest,
                                     const registry::ManifestAnswer& answer, ItemReport& report) {
    if (!manifest.sparse || !oci::is_index(manifest.media_type) || !is_opinion(answer.status)) {
      return fail(*answer.refused);
    }
    if (manifest.role == Role::content) {
      auto error = *answer.refused;
      error.hint =
          "the index names images for platforms that are not in the bundle, and this registry "
          "wants "
          "all of them: list every platform, or use `platform:` for one";
      return fail(std::move(error));
    }
    // By digest and by tag it is one index.
    if (std::ranges::find(report.not_possible, manifest.digest) == report.not_possible.end()) {
      report.not_possible.push_back(manifest.digest);
    }
    return {};
  }

  void count(std::size_t index) {
    const auto& place = plan_.places[index];
    if (place.present) ++report_.present_blobs;
    const auto& outcome = states_[index].outcome;
    report_.places[index] = outcome;
    if (!outcome) return;
    if (*outcome == registry::BlobOutcome::mounted) {
      ++report_.mounted_blobs;
    } else {
      ++report_.sent_blobs;
      report_.sent_bytes += plan_.blobs[place.blob].size;
    }
  }

  const bundle::Reader& reader_;
  const Plan& plan_;
  const Destination& destination_;
  Progress* progress_;
  Report report_;
  Queue queue_;
  std::mutex mutex_;
  std::mutex listing_;
  std::vector<PlaceState> states_;               ///< by place
  std::vector<std::vector<std::size_t>> users_;  ///< items that wait for a place
  std::vector<std::size_t> waiting_;             ///< places that an item waits for
};

/// What a dry run can know of failures.
Report what_fails(const Plan& plan) {
  Report out;
  out.places.resize(plan.places.size());
  for (const auto& item : plan.items) {
    auto& report = out.items.emplace_back();
    if (!item.error) continue;
    report.errors.push_back(*item.error);
    ++out.failed;
  }
  return out;
}

}  // namespace

std::optional<Error> Report::error(const Plan& plan) const {
  if (failed == 0) return std::nullopt;
  std::optional<Error> first;
  std::string text;
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (const auto& error : items[i].errors) {
      if (!first) first = error;
      text += fmt::format("\n  {}: {}", plan.items[i].name, error.what);
      if (!error.hint.empty()) text += fmt::format(" ({})", error.hint);
    }
  }
  return Error(first->kind,
               fmt::format("{} of {} could not be pushed:{}", failed, plan.items.size(), text))
      .with_hint("run it again when that is put right: only what is missing is sent");
}

Report execute(const bundle::Reader& reader, const Plan& plan, const Destination& destination,
               Progress* progress) {
  if (progress != nullptr) progress->begin("pushing", plan.bytes());
  auto report = Execution(reader, plan, destination, progress).run();
  if (progress != nullptr) progress->end();
  return report;
}

Result<Outcome> push_bundle(const bundle::Reader& reader, const Options& options,
                            const registry::Access& access, bool dry_run, Progress* progress) {
  SystemClock system;
  Clock& clock = options.clock != nullptr ? *options.clock : system;
  collect::RateLimit rate(options.limit_rate, clock);
  registry::UploadStore store;
  if (!options.uploads.empty() && !dry_run) {
    store = registry::UploadStore::open(options.uploads, options.target.registry, clock);
  }
  registry::UploadSettings settings;
  settings.chunk = options.chunk;
  settings.store = &store;
  if (options.limit_rate > 0) settings.on_send = [&](std::uint64_t bytes) { rate.take(bytes); };
  if (progress != nullptr) {
    settings.on_progress = [progress](std::uint64_t bytes) { progress->advance(bytes); };
  }
  Reach reach(options.target.registry, options.workers);
  const Destination destination{options, access, settings, reach};
  Outcome out;
  BP_TRY(out.plan, lay_out(reader, options.target));
  BP_CHECK(look(out.plan, destination, progress));
  out.report = dry_run ? what_fails(out.plan) : execute(reader, out.plan, destination, progress);
  return out;
}

}  // namespace bedplate::push

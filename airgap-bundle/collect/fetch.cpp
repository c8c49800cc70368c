#include "airgap-bundle/collect/fetch.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include <fcntl.h>
#include <fmt/format.h>

namespace bedplate::collect {

Error summarize(std::vector<Error> errors, std::size_t images) {
  if (errors.size() == 1) return std::move(errors.front());
  std::string text = fmt::format("{} of {} images cannot be had:", errors.size(), images);
  for (const auto& error : errors) {
    text += "\n  " + (error.during_lines.empty() ? "" : error.during_lines.back() + ": ");
    text += error.what;
    if (!error.hint.empty()) text += fmt::format(" ({})", error.hint);
  }
  return Error(errors.front().kind, std::move(text));
}

Result<registry::HostSettings> read_settings(const RegistrySpec& spec,
                                             const std::filesystem::path& root) {
  registry::HostSettings settings;
  settings.plain_http = spec.plain_http;
  settings.mirrors = spec.mirrors;
  const auto at = [&](const std::string& path) {
    return path.empty() ? std::filesystem::path() : root / path;
  };
  BP_TRY_DURING(settings.tls, fmt::format("reading the settings of registry {}", spec.host),
                registry::read_tls({at(spec.ca), at(spec.certificate), at(spec.key)}));
  return settings;
}

Result<void> configure(registry::Access& access, const BundleSpec& spec,
                       const std::filesystem::path& root) {
  for (const auto& item : spec.registries) {
    BP_TRY(auto settings, read_settings(item, root));
    access.set(item.host, std::move(settings));
  }
  return {};
}

void in_parallel(std::size_t count, unsigned workers,
                 const std::function<void(std::size_t, HttpClient&)>& action) {
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::min<std::size_t>(workers, count); ++i) {
    threads.emplace_back([&] {
      const auto http = make_http_client();
      for (auto index = next++; index < count; index = next++) action(index, *http);
    });
  }
}

Result<std::vector<PlannedImage>> plan_images(const std::vector<ImageSpec>& images,
                                              const Sources& sources, const Lock* lock,
                                              unsigned workers) {
  std::vector<std::optional<Result<PlannedImage>>> plans(images.size());
  in_parallel(images.size(), workers, [&](std::size_t i, HttpClient& http) {
    auto plan = plan_image(images[i], sources, lock, http);
    if (!plan) {
      plan.error().during(fmt::format("looking for image {} ({}:{})", images[i].name.str(),
                                      sources.spec, images[i].line));
    }
    plans[i] = std::move(plan);
  });
  std::vector<PlannedImage> out;
  std::vector<Error> errors;
  for (auto& plan : plans) {
    if (*plan) {
      out.push_back(std::move(**plan));
    } else {
      errors.push_back(std::move(*plan).error());
    }
  }
  if (!errors.empty()) return fail(summarize(std::move(errors), images.size()));
  return out;
}

/// One thread's connections.
class Fetch::Worker {
 public:
  explicit Worker(Fetch& fetch) : fetch_(fetch), http_(make_http_client()) {}

  Result<void> run(const Task& task) {
    const auto& blob = *task.layer;
    bool fetched = false;
    const auto fill = [&](std::uint64_t from, const bundle::Writer::Sink& sink) -> Result<void> {
      if (auto here = fetch_.reuse_.find(blob.digest, blob.size)) {
        return feed_range(here->fd, here->offset + from, blob.size - from, sink);
      }
      fetched = true;
      return from_source(task, from, sink);
    };
    auto done = fetch_.writer_.complete(task.known, counted(fill));
    if (!done && !fetched && !fetch_.stop_) {
      // What was on this machine is damaged; the source still has it.
      fetched = true;
      done = fetch_.writer_.complete(
          task.known, counted([&](std::uint64_t from, const bundle::Writer::Sink& sink) {
            return from_source(task, from, sink);
          }));
    }
    BP_CHECK_DURING("copying blob " + blob.digest.str(), std::move(done));
    settle(task, fetched);
    return {};
  }

 private:
  Result<void> from_source(const Task& task, std::uint64_t from, const bundle::Writer::Sink& sink) {
    BP_TRY(auto* const store, store_of(*task.image));
    const bool remote = task.image->source.source.kind == SourceKind::registry;
    return store->blob(*task.layer, from, [&](std::span<const std::byte> data) -> Result<void> {
      if (remote) fetch_.rate_.take(data.size());
      return sink(data);
    });
  }

  /// Counts bytes, and ends when another worker has failed.
  bundle::Writer::FillFrom counted(bundle::Writer::FillFrom fill) {
    return [this, fill = std::move(fill)](std::uint64_t from,
                                          const bundle::Writer::Sink& sink) -> Result<void> {
      return fill(from, [&](std::span<const std::byte> data) -> Result<void> {
        if (fetch_.stop_) return fail(ErrorKind::cancelled, "stopped");
        if (fetch_.progress_ != nullptr) fetch_.progress_->advance(data.size());
        return sink(data);
      });
    };
  }

  /// The cache gets what was fetched; what an earlier run had left gives its room back.
  void settle(const Task& task, bool fetched) {
    const auto& blob = fetch_.writer_.known(task.known);
    if (fetched) {
      if (task.image->source.source.kind == SourceKind::registry) {
        fetch_.reuse_.keep(blob.digest, blob.size, fetch_.writer_.fd(), blob.offset);
      }
      return;
    }
    const auto here = fetch_.reuse_.find(blob.digest, blob.size);
    if (here && here->passing) {
      (void)::fallocate(here->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        static_cast<off_t>(here->offset), static_cast<off_t>(blob.size));
    }
  }

  Result<ImageStore*> store_of(const PlannedImage& image) {
    auto& store = stores_[&image];
    if (!store) {
      BP_TRY(store, open_store(image.source, fetch_.sources_, *http_));
    }
    return store.get();
  }

  Fetch& fetch_;
  std::unique_ptr<HttpClient> http_;
  std::map<const PlannedImage*, std::unique_ptr<ImageStore>> stores_;
};

Fetch::Fetch(bundle::Writer& writer, const std::vector<PlannedImage>& images,
             const Sources& sources, const Reuse& reuse, RateLimit& rate, Progress* progress)
    : writer_(writer), sources_(sources), reuse_(reuse), rate_(rate), progress_(progress) {
  std::unordered_map<Digest, Task, DigestHash> by_digest;
  for (const auto& image : images) {
    for (const auto& layer : image.layers)
      by_digest.try_emplace(layer.digest, Task{0, &image, &layer});
  }
  for (std::size_t i = 0; i < writer.known_count(); ++i) {
    auto task = by_digest.at(writer.known(i).digest);
    task.known = i;
    tasks_.push_back(task);
  }
  // A large one that begins last would end alone.
  std::ranges::stable_sort(tasks_, std::greater(),
                           [](const Task& task) { return task.layer->size; });
}

Fetch::~Fetch() {
  stop_ = true;
}

void Fetch::start(unsigned workers) {
  const auto count = std::min<std::size_t>(workers, tasks_.size());
  for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this] { run(); });
}

void Fetch::run() {
  Worker worker(*this);
  while (!stop_) {
    const auto i = next_++;
    if (i >= tasks_.size()) return;
    auto done = worker.run(tasks_[i]);
    if (!done) {
      fail_with(std::move(done).error().during(
          fmt::format("adding image {}", tasks_[i].image->source.name.str())));
      return;
    }
  }
}

void Fetch::fail_with(Error error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = std::move(error);
  stop_ = true;
}

Result<void> Fetch::wait() {
  threads_.clear();  // joins
  if (error_) return fail(*std::exchange(error_, std::nullopt));
  return {};
}

}  // namespace bedplate::collect

#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/collect/import.hpp"
#include "airgap-bundle/collect/rate.hpp"
#include "airgap-bundle/collect/reuse.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// What the specification says of one registry, with the files it names read.
Result<registry::HostSettings> read_settings(const RegistrySpec& spec,
                                             const std::filesystem::path& root);

/// Tells `access` what the specification says of registries.
Result<void> configure(registry::Access& access, const BundleSpec& spec,
                       const std::filesystem::path& root);

/// All failures as one, for a person who would else meet them one by one. The kind is the first
/// one's.
Error summarize(std::vector<Error> errors, std::size_t images);

/// Calls `action(index, http)` for every index below `count`, in several threads.
void in_parallel(std::size_t count, unsigned workers,
                 const std::function<void(std::size_t, HttpClient&)>& action);

/// Plans all images that exist already, several at once. Every image that cannot be had is named in
/// one error, whose kind is the first one's. The result has the order of `images`.
Result<std::vector<PlannedImage>> plan_images(const std::vector<ImageSpec>& images,
                                              const Sources& sources, const Lock* lock,
                                              unsigned workers);

/// Makes the known blobs of a writer complete, several at once, largest first: from what is on this
/// machine where possible, else from the sources of their images. The first failure stops all;
/// what is there then stays in the partial file.
class Fetch {
 public:
  /// `images` are those whose layers were laid out. Everything must outlive this.
  Fetch(bundle::Writer& writer, const std::vector<PlannedImage>& images, const Sources& sources,
        const Reuse& reuse, RateLimit& rate, Progress* progress);
  Fetch(const Fetch&) = delete;
  /// Stops what is still running.
  ~Fetch();

  void start(unsigned workers);
  /// Until everything is there.
  Result<void> wait();

 private:
  class Worker;
  struct Task {
    std::size_t known = 0;  ///< index at the writer
    const PlannedImage* image = nullptr;
    const oci::Descriptor* layer = nullptr;
  };

  void run();
  void fail_with(Error error);

  bundle::Writer& writer_;
  const Sources& sources_;
  const Reuse& reuse_;
  RateLimit& rate_;
  Progress* progress_;
  std::vector<Task> tasks_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::optional<Error> error_;
  std::vector<std::jthread> threads_;
};

}  // namespace bedplate::collect

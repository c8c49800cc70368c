#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "airgap-bundle/push/plan.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::push {

/// What became of an item.
struct ItemReport {
  bool wrote = false;  ///< at least one of its manifests
  /// Indexes with absent children that the registry does not take: the bundle registry serves them.
  std::vector<Digest> not_possible;
  std::vector<Error> errors;
};

struct Report {
  std::vector<ItemReport> items;                             ///< in the plan's order
  std::vector<std::optional<registry::BlobOutcome>> places;  ///< nothing: not sent
  std::uint64_t sent_blobs = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t mounted_blobs = 0;
  std::uint64_t present_blobs = 0;
  std::size_t failed = 0;  ///< items

  /// All failures as one, for a person; its kind is the first one's. Nothing when there is none.
  std::optional<Error> error(const Plan& plan) const;
};

/// Sends what the plan says is not there: blobs first, each once for the whole registry and taken
/// over by its other repositories; then children, the content, its index and its referrers; tags
/// last. Items fail alone, and the others go on; but when the registry itself is away the rest is
/// given up. May be killed at any moment and repeated from a new plan.
Report execute(const bundle::Reader& reader, const Plan& plan, const Destination& destination,
               Progress* progress);

struct Outcome {
  Plan plan;
  Report report;  ///< after a dry run: what would fail
};

/// The plan, and unless it is a dry run its execution. Errors are those of the whole; those of
/// items are in plan and report.
Result<Outcome> push_bundle(const bundle::Reader& reader, const Options& options,
                            const registry::Access& access, bool dry_run, Progress* progress);

}  // namespace bedplate::push

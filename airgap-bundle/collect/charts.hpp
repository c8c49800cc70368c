#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/closure/references.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/process.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// The charts of a bundle: fetched, rendered, and written in Helm's OCI form. Fetching and
/// rendering is the real helm's work.
class Charts {
 public:
  /// Fetches each chart (a file is used where it lies) and renders it with its values.
  /// `kube_version` is what the charts are told; empty: helm's own default.
  static Result<Charts> collect(const std::vector<ChartSpec>& specs,
                                const std::filesystem::path& root,
                                const std::filesystem::path& helm, const std::string& kube_version,
                                ProcessRunner& runner);

  /// Every image that the rendered charts name.
  const std::vector<closure::FoundImage>& images() const { return images_; }
  /// Archives ("<chart>") and values ("<chart>/<path>"), for a lock.
  std::map<std::string, LockedContent> contents() const;
  /// Bytes of the charts, for progress and space.
  std::uint64_t size() const;

  /// Writes and names the charts. Returns descriptors of what was written, for the bundle's list of
  /// contents. ErrorKind::corrupt when a file is no longer what was rendered.
  Result<Json> add_to(bundle::Writer& writer) const;

 private:
  struct Chart {
    ChartSpec spec;
    std::filesystem::path archive;
    std::string metadata;  ///< Chart.yaml as JSON
    std::vector<std::filesystem::path> values;
    LockedContent archive_content;
    std::vector<LockedContent> values_content;
  };
  explicit Charts(TemporaryDirectory folder) : folder_(std::move(folder)) {}
  static Result<Json> add_chart(bundle::Writer& writer, const Chart& chart);

  TemporaryDirectory folder_;
  std::vector<Chart> charts_;
  std::vector<closure::FoundImage> images_;
};

}  // namespace bedplate::collect

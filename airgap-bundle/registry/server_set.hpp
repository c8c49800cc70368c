#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "airgap-bundle/registry/server.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// What `bundle serve` was told to serve.
struct BundleSource {
  std::vector<std::string> files;  ///< bundle files
  std::string folder;              ///< every *.bundle in it, in the order of their names; or empty
  std::vector<std::string> trust;  ///< as bundle::read_trust takes it
};

/// A registry whose bundles can be exchanged while it answers.
class ServedSet {
 public:
  /// Errors: those of Reader::open and Content::merge, and not_found when there is no bundle.
  static Result<std::unique_ptr<ServedSet>> open(BundleSource source);

  /// Opens everything anew, keys included. Either all of it is served from now on or, with the
  /// error, what was served before. Answers under way are sent to their end from the old files.
  /// Not to be called by two threads at once.
  Result<void> reload();

  ServerResponse handle(const ServerRequest& request) const { return current()->handle(request); }
  std::shared_ptr<const BundleRegistry> current() const { return registry_.load(); }

 private:
  explicit ServedSet(BundleSource source) : source_(std::move(source)) {}

  BundleSource source_;
  std::atomic<std::shared_ptr<const BundleRegistry>> registry_;
};

}  // namespace bedplate::registry

#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "airgap-bundle/bundle/reader.hpp"
#include "core/http_server.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// A read-only registry over one bundle file (OCI distribution-spec 1.1: pull, content discovery
/// and referrers). Answers from the file, unpacks nothing. Repositories are known as
/// <repository>?ns=<registry>, as containerd's mirrors ask, and as <registry>/<repository>; without
/// `ns` also by the bare repository when only one registry has it. Blobs are served by digest to
/// any repository: the bundle is one trust domain.
class BundleRegistry {
 public:
  /// The reader must outlive the registry. Reads each manifest once; ErrorKind::corrupt if one is
  /// not what was signed.
  static Result<BundleRegistry> create(const bundle::Reader& reader);

  ServerResponse handle(const ServerRequest& request) const;

 private:
  explicit BundleRegistry(const bundle::Reader& reader) : reader_(&reader) {}
  /// Which of our repositories a request means; empty when none.
  std::string resolve(const std::string& name, const std::string& registry) const;
  ServerResponse manifest(const std::string& repository, const std::string& reference) const;
  ServerResponse blob(const ServerRequest& request, const std::string& text) const;
  ServerResponse tags(const ServerRequest& request, const std::string& repository) const;

  struct Manifest {
    std::string media_type;
    std::string content;
  };
  const bundle::Reader* reader_;
  std::map<std::string, std::map<std::string, Digest>> tags_;  ///< "<registry>/<repository>"
  std::map<std::string, std::set<std::string>> registries_;    ///< by bare repository
  std::map<Digest, Manifest> manifests_;
};

}  // namespace bedplate::registry

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/registry/server_content.hpp"
#include "core/http_server.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// A read-only registry over bundle files (OCI distribution-spec 1.1: pull, content discovery and
/// referrers). Answers from the files, unpacks nothing. Repositories are known as
/// <repository>?ns=<registry>, as containerd's mirrors ask, and as <registry>/<repository>; without
/// `ns` also by the bare repository when only one registry has it. Blobs are served by digest to
/// any repository: the bundles are one trust domain. May be used by several threads; an answer
/// keeps the files open that it is sent from, also when the registry is gone.
class BundleRegistry {
 public:
  /// The reader must outlive the registry and its answers.
  static Result<BundleRegistry> create(const bundle::Reader& reader);
  /// Several bundles as one: see Content::merge for what wins and what is refused.
  static Result<BundleRegistry> create(Readers readers);

  ServerResponse handle(const ServerRequest& request) const;
  const Content& content() const { return *content_; }

 private:
  explicit BundleRegistry(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
  ServerResponse manifest(const ServerRequest& request, const Repository& repository,
                          std::string_view name, std::string_view reference) const;
  ServerResponse blob(const ServerRequest& request, std::string_view text) const;
  static ServerResponse tags(const ServerRequest& request, const Repository& repository,
                             std::string_view name);
  ServerResponse referrers(const ServerRequest& request, const Repository& repository,
                           std::string_view subject) const;

  std::shared_ptr<const Content> content_;
};

}  // namespace bedplate::registry

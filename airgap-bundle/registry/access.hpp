#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "airgap-bundle/oci/reference.hpp"
#include "airgap-bundle/registry/client.hpp"
#include "airgap-bundle/registry/credentials.hpp"
#include "core/process.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// How one registry is reached.
struct HostSettings {
  bool plain_http = false;
  TlsSettings tls;
  std::vector<std::string> mirrors;  ///< "host[:port][/prefix]", asked first
};

/// Files of an option or a specification, PEM; an empty path is none.
struct TlsFiles {
  std::filesystem::path ca;
  std::filesystem::path certificate;
  std::filesystem::path key;
};
/// Up to 1 MiB each.
Result<TlsSettings> read_tls(const TlsFiles& files);

/// A place where a repository can be asked for.
struct Endpoint {
  oci::Reference reference;
  ClientOptions options;
};

/// How long registries are waited for, and by which clock, which must outlive its users.
struct Patience {
  Clock* clock = nullptr;
  std::chrono::milliseconds stall_timeout{60'000};
  std::chrono::milliseconds document_timeout{300'000};
};

/// Who we are and how we get there, for every registry. Thread-safe; logins are looked up once.
class Access {
 public:
  /// `runner` runs credential helpers and must outlive this.
  explicit Access(ProcessRunner& runner) : runner_(&runner) {}

  void set_patience(const Patience& patience) { patience_ = patience; }

  void set(const std::string& host, HostSettings settings) { hosts_[host] = std::move(settings); }

  /// The mirrors of the reference's registry in their order, then the registry itself.
  /// ErrorKind::invalid when a file of logins cannot be read, dependency when a helper is missing.
  Result<std::vector<Endpoint>> endpoints(const oci::Reference& reference) const;
  /// The registry itself alone: to write to.
  Result<Endpoint> endpoint(const oci::Reference& reference) const;

 private:
  ProcessRunner* runner_;
  std::optional<Patience> patience_;
  std::map<std::string, HostSettings> hosts_;
  mutable std::mutex mutex_;
  mutable std::optional<Credentials> files_;
  mutable std::map<std::string, std::optional<Credential>> logins_;  ///< by registry/repository
};

}  // namespace bedplate::registry

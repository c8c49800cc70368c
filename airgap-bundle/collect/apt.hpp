#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/collect/spec.hpp"
#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/process.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// A package as apt would fetch it.
struct AptPackage {
  std::string name;
  std::string version;
  std::string architecture;
  std::string url;
  Digest digest;
  std::uint64_t size = 0;  ///< bytes
};

/// One line for each package: 'URL' FILE SIZE SHA256:HEX, as `apt-get --print-uris` writes it.
/// Other lines are passed over. ErrorKind::unsupported for a package without a SHA-256.
Result<std::vector<AptPackage>> parse_uris(std::string_view text);

/// What apt of this machine says of how it reaches servers (proxies, timeouts, authorities, whether
/// dates are checked), out of what `apt-config dump` writes. Nothing that would let it take what
/// is not signed.
std::string network_settings(std::string_view dump);

/// The real apt with a configuration, sources, lists and a dpkg status of its own: it solves for a
/// machine that is not this one, and this one's state is neither read nor changed. Sources are
/// believed only when the keyring's keys signed them.
class AptRoot {
 public:
  /// ErrorKind::dependency without apt or keyring.
  static Result<AptRoot> create(const PackagesSpec& spec, const std::string& architecture,
                                const std::filesystem::path& root, ProcessRunner& runner);

  /// Fetches the lists of packages. ErrorKind::untrusted when a signature is not right, network
  /// when a mirror does not give them.
  Result<void> update();
  /// What the target has: a file in the form of /var/lib/dpkg/status.
  Result<void> set_installed(std::string_view status);
  /// What has to be fetched so that all of `wanted` can be installed there, sorted.
  /// ErrorKind::not_found: no such package; invalid: they cannot be installed together.
  Result<std::vector<AptPackage>> solve(const std::vector<std::string>& wanted, bool recommends);
  /// A dpkg status with these packages installed.
  Result<std::string> status_of(const std::vector<AptPackage>& packages);

 private:
  AptRoot(TemporaryDirectory folder, ProcessRunner& runner)
      : folder_(std::move(folder)), runner_(&runner) {}
  Result<ProcessResult> run(std::vector<std::string> argv);

  TemporaryDirectory folder_;
  ProcessRunner* runner_;
};

}  // namespace bedplate::collect

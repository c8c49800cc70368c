#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "airgap-bundle/harbor/spec.hpp"
#include "core/file.hpp"
#include "core/result.hpp"

namespace bedplate::harbor {

/// A robot's secret as a file holds it.
struct HeldSecret {
  std::string url;         ///< of the Harbor
  std::int64_t robot = 0;  ///< Harbor's id: a robot that was made anew has another
  std::string secret;
  std::string text;         ///< the whole file
  bool only_owner = false;  ///< nobody else may read the file
};

/// The Kubernetes Secrets (kubernetes.io/dockerconfigjson, one for each namespace) with which pods
/// pull as this robot: one List in JSON, for `kubectl apply -f`. `robot_name` is Harbor's, with
/// prefix.
std::string manifest_text(const HarborSpec& spec, const RobotSpec& robot,
                          const std::string& robot_name, std::int64_t id,
                          const std::string& secret);

/// What a manifest of ours says; nothing when it is something else.
std::optional<HeldSecret> parse_manifest(const std::string& text);

/// The folder with one file for each robot ("pull.json", "k8s+push.json"). Files are replaced as a
/// whole and are 0600 from their first byte; the folder is 0700.
class SecretFolder {
 public:
  explicit SecretFolder(std::filesystem::path path) : path_(std::move(path)) {}

  /// Makes the folder and keeps everybody else who applies out of it until this ends
  /// (ErrorKind::conflict when somebody is in it).
  Result<void> lock();
  /// By RobotSpec::key(). A missing folder is empty; files that are not ours are passed over.
  Result<std::map<std::string, HeldSecret>> read() const;
  Result<void> write(const std::string& key, const std::string& text) const;
  /// Only a file of ours for the Harbor at `url`; a missing one is fine.
  Result<void> remove(const std::string& key, const std::string& url) const;

  /// Whether this secret was the last one that was given to Harbor for `what`. Harbor does not
  /// tell; a keyed digest in the folder remembers.
  bool remembers(const std::string& what, const std::string& secret) const;
  Result<void> remember(const std::string& what, const std::string& secret) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::optional<FileLock> lock_;
};

/// The value, without the line end that editors add. `document`: the file whose folder relative
/// names begin at. ErrorKind::not_found when the variable is unset or the file missing; invalid
/// when it is empty.
Result<std::string> read_source(const SecretSource& source, const std::filesystem::path& document);

}  // namespace bedplate::harbor

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "core/process.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// What somebody logs in to a registry with. Never logged, never an argument of a program.
struct Credential {
  std::string user;
  std::string secret;
  /// An OAuth 2 refresh token instead of user and secret (docker's `identitytoken`).
  std::string identity_token;
};

/// The logins that `docker login`, `podman login` and `skopeo login` keep: containers-auth.json(5)
/// and docker's config.json, with their credential helpers (docker-credential-<name>).
class Credentials {
 public:
  /// Nobody's: every registry is asked without an account.
  Credentials() = default;
  /// The files in their order of search; those that do not exist are passed over.
  /// ErrorKind::invalid names a file that is no JSON.
  static Result<Credentials> read(const std::vector<std::filesystem::path>& files,
                                  ProcessRunner& runner);
  /// $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json,
  /// $DOCKER_CONFIG/config.json or ~/.docker/config.json.
  static std::vector<std::filesystem::path> usual_files();

  /// For "registry.example:5000" or "docker.io", and a repository there: the entry with the longest
  /// matching path wins. A helper that knows nothing is no error; one that is missing is
  /// ErrorKind::dependency.
  Result<std::optional<Credential>> find(const std::string& registry,
                                         const std::string& repository) const;

 private:
  struct File {
    std::filesystem::path path;
    Json content;
  };
  Result<std::optional<Credential>> find_in(const File& file, const std::string& registry,
                                            const std::string& repository) const;
  Result<std::optional<Credential>> ask(const std::string& helper, const std::string& key) const;

  std::vector<File> files_;
  ProcessRunner* runner_ = nullptr;
};

}  // namespace bedplate::registry

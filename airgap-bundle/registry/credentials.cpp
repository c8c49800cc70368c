#include "airgap-bundle/registry/credentials.hpp"

#include <cstdlib>

#include <fmt/format.h>

#include "airgap-bundle/oci/reference.hpp"
#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/text.hpp"

namespace bedplate::registry {
namespace {

namespace fs = std::filesystem;

/// What `docker login` without a registry writes.
const auto docker_hub_key = fmt::format("https://{}/v1/", oci::docker_hub_of_old);

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

/// Keys are hosts, paths below them, and, of old, URLs.
std::vector<std::string> keys_of(const std::string& registry, const std::string& repository) {
  std::vector<std::string> out;
  auto path = registry + "/" + repository;
  while (true) {
    out.push_back(path);
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) break;
    path.resize(slash);
  }
  out.insert(out.end(), {"https://" + registry, "https://" + registry + "/v1/",
                         "https://" + registry + "/v2/"});
  if (registry == oci::docker_hub) {
    out.insert(out.end(),
               {docker_hub_key, std::string(oci::docker_hub_of_old), "registry-1.docker.io"});
  }
  return out;
}

Result<std::optional<Credential>> parse_entry(const Json& entry, const std::string& key) {
  Credential out;
  out.identity_token = json_string_or(entry, "identitytoken", "");
  const auto auth = json_string_or(entry, "auth", "");
  if (auth.empty()) {
    // Docker leaves an empty entry where a helper keeps the login.
    if (out.identity_token.empty()) return std::nullopt;
    return out;
  }
  const auto decoded = base64_decode(auth);
  const auto colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    return fail(ErrorKind::invalid, fmt::format("the login for {} cannot be read", key),
                "log in again: docker login, podman login or skopeo login");
  }
  out.user = decoded->substr(0, colon);
  out.secret = decoded->substr(colon + 1);
  while (out.secret.ends_with('\0')) out.secret.pop_back();
  return out;
}

}  // namespace

Result<Credentials> Credentials::read(const std::vector<fs::path>& files, ProcessRunner& runner) {
  Credentials out;
  out.runner_ = &runner;
  for (const auto& path : files) {
    std::error_code code;
    if (!fs::exists(path, code)) continue;
    BP_TRY_DURING(const auto text, "reading the logins of registries", read_file(path, 16U << 20));
    auto content = parse_json(text, path.string());
    if (!content || !content->is_object()) {
      // Not in the parser's words, which quote what it read.
      return fail(ErrorKind::invalid, fmt::format("{} is not a JSON object", path.string()),
                  "log in again: docker login, podman login or skopeo login");
    }
    out.files_.push_back({path, std::move(*content)});
  }
  return out;
}

std::vector<fs::path> Credentials::usual_files() {
  std::vector<fs::path> out;
  if (const auto* file = variable("REGISTRY_AUTH_FILE")) out.emplace_back(file);
  if (const auto* folder = variable("XDG_RUNTIME_DIR")) {
    out.push_back(fs::path(folder) / "containers/auth.json");
  }
  if (const auto* folder = variable("DOCKER_CONFIG")) {
    out.push_back(fs::path(folder) / "config.json");
  } else if (const auto* home = variable("HOME")) {
    out.push_back(fs::path(home) / ".docker/config.json");
  }
  return out;
}

Result<std::optional<Credential>> Credentials::find(const std::string& registry,
                                                    const std::string& repository) const {
  for (const auto& file : files_) {
    BP_TRY_DURING(auto found, "looking for a login in " + file.path.string(),
                  find_in(file, registry, repository));
    if (found) return found;
  }
  return std::nullopt;
}

Result<std::optional<Credential>> Credentials::find_in(const File& file,
                                                       const std::string& registry,
                                                       const std::string& repository) const {
  const auto keys = keys_of(registry, repository);
  const auto part = [&](const char* name) {
    const auto found = file.content.find(name);
    return found != file.content.end() && found->is_object() ? *found : Json::object();
  };
  const auto helpers = part("credHelpers");
  for (const auto& key : keys) {
    const auto helper = json_string_or(helpers, key, "");
    if (!helper.empty()) return ask(helper, key);
  }
  const auto entries = part("auths");
  for (const auto& key : keys) {
    const auto entry = entries.find(key);
    if (entry == entries.end()) continue;
    BP_TRY(auto login, parse_entry(*entry, key));
    if (login) return login;
  }
  const auto store = json_string_or(file.content, "credsStore", "");
  if (store.empty()) return std::nullopt;
  return ask(store, registry == oci::docker_hub ? docker_hub_key : registry);
}

/// docker-credential-helpers: the key on standard input, {"Username", "Secret"} on output.
Result<std::optional<Credential>> Credentials::ask(const std::string& helper,
                                                   const std::string& key) const {
  if (helper.find('/') != std::string::npos) {
    return fail(ErrorKind::invalid, fmt::format("'{}' is not a credential helper's name", helper));
  }
  BP_TRY(const auto program, find_program("docker-credential-" + helper, ""));
  Command command;
  command.argv = {program.string(), "get"};
  command.input = key;
  command.timeout = std::chrono::minutes(2);
  BP_TRY(const auto result, runner_->run(command));
  if (result.status != 0) return std::nullopt;  // "credentials not found" is its usual failure
  const auto answer = parse_json(result.out, "docker-credential-" + helper);
  if (!answer) {
    // Its words may hold the secret: they are not shown.
    return fail(ErrorKind::invalid, fmt::format("docker-credential-{} gave no JSON", helper));
  }
  Credential out;
  out.user = json_string_or(*answer, "Username", "");
  out.secret = json_string_or(*answer, "Secret", "");
  if (out.user == "<token>") {
    out.identity_token = std::exchange(out.secret, {});
    out.user.clear();
  }
  return out;
}

}  // namespace bedplate::registry

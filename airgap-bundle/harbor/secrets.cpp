#include "airgap-bundle/harbor/secrets.hpp"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <sys/stat.h>

#include "core/digest.hpp"
#include "core/json.hpp"
#include "core/text.hpp"

namespace bedplate::harbor {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view url_key = "dev.bedplate.harbor-url";
constexpr std::string_view robot_key = "dev.bedplate.harbor-robot";
constexpr std::string_view id_key = "dev.bedplate.harbor-robot-id";
constexpr std::string_view data_key = ".dockerconfigjson";
/// Not *.json: `kubectl apply -f` takes all of those in a folder.
constexpr std::string_view record_name = ".given";

bool readable_by_owner_only(const fs::path& path) {
  struct stat found{};
  return ::stat(path.c_str(), &found) == 0 && (found.st_mode & 077) == 0;
}

/// A child of an object; null when there is none.
const Json& at(const Json& object, std::string_view key) {
  static const Json none;
  if (!object.is_object()) return none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}

}  // namespace

std::string manifest_text(const HarborSpec& spec, const RobotSpec& robot,
                          const std::string& robot_name, std::int64_t id,
                          const std::string& secret) {
  const Json login = {{"username", robot_name},
                      {"password", secret},
                      {"auth", base64_encode(robot_name + ":" + secret)}};
  const Json config = {{"auths", {{spec.registry, login}}}};
  Json items = Json::array();
  for (const auto& name_space : robot.namespaces) {
    items.push_back(
        {{"apiVersion", "v1"},
         {"kind", "Secret"},
         {"metadata",
          {{"name", robot.secret_name},
           {"namespace", name_space},
           {"annotations",
            {{url_key, spec.url}, {robot_key, robot_name}, {id_key, std::to_string(id)}}}}},
         {"type", "kubernetes.io/dockerconfigjson"},
         {"data", {{data_key, base64_encode(config.dump())}}}});
  }
  return Json{{"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(items)}}.dump(2) + "\n";
}

std::optional<HeldSecret> parse_manifest(const std::string& text) {
  const auto list = parse_json(text, "manifest");
  if (!list) return std::nullopt;
  const auto& items = at(*list, "items");
  if (!items.is_array() || items.empty()) return std::nullopt;
  const auto& annotations = at(at(items.front(), "metadata"), "annotations");
  HeldSecret out;
  out.text = text;
  out.url = json_string_or(annotations, url_key, "");
  const auto id = json_string_or(annotations, id_key, "");
  const auto robot = parse_unsigned<std::uint32_t>(id);
  const auto config = base64_decode(json_string_or(at(items.front(), "data"), data_key, ""));
  if (!robot || !config) return std::nullopt;
  out.robot = *robot;
  const auto logins = parse_json(*config, "manifest");
  if (!logins || !at(*logins, "auths").is_object() || at(*logins, "auths").empty()) {
    return std::nullopt;
  }
  out.secret = json_string_or(*at(*logins, "auths").begin(), "password", "");
  if (out.secret.empty()) return std::nullopt;
  return out;
}

Result<void> SecretFolder::lock() {
  BP_CHECK(make_directories(path_, 0700));
  BP_TRY(auto lock, FileLock::acquire(path_ / ".lock", false));
  lock_ = std::move(lock);
  return {};
}

Result<std::map<std::string, HeldSecret>> SecretFolder::read() const {
  std::map<std::string, HeldSecret> out;
  std::error_code code;
  if (!fs::exists(path_, code)) return out;
  for (fs::directory_iterator it(path_, code), end; !code && it != end; it.increment(code)) {
    if (it->path().extension() != ".json") continue;
    BP_TRY(const auto text, read_file(it->path(), 1U << 20));
    auto held = parse_manifest(text);
    if (!held) continue;
    held->only_owner = readable_by_owner_only(it->path());
    out[it->path().stem().string()] = std::move(*held);
  }
  if (code) return fail(system_error(code.value(), "read " + path_.string()));
  return out;
}

Result<void> SecretFolder::write(const std::string& key, const std::string& text) const {
  const auto path = path_ / (key + ".json");
  std::error_code code;
  if (fs::exists(path, code)) {
    BP_TRY(const auto before, read_file(path, 1U << 20));
    if (!parse_manifest(before)) {
      return fail(ErrorKind::conflict, fmt::format("{} is not a file of ours", path.string()),
                  "move it away, or choose another folder with --secrets; then apply again");
    }
  }
  return write_file_atomic(path, text, 0600);
}

Result<void> SecretFolder::remove(const std::string& key, const std::string& url) const {
  const auto path = path_ / (key + ".json");
  std::error_code code;
  if (!fs::exists(path, code)) return {};
  BP_TRY(const auto before, read_file(path, 1U << 20));
  const auto held = parse_manifest(before);
  if (!held || held->url != url) return {};
  fs::remove(path, code);
  if (code) return fail(system_error(code.value(), "remove " + path.string()));
  return sync_path(path_);
}

bool SecretFolder::remembers(const std::string& what, const std::string& secret) const {
  const auto record = read_json(path_ / record_name);
  if (!record) return false;
  const auto salt = base64_decode(json_string_or(*record, "salt", ""));
  const auto given = base64_decode(json_string_or(*record, "given", ""));
  return salt && given && !salt->empty() &&
         constant_time_equal(*given, hmac_sha256(*salt, what + '\n' + secret));
}

Result<void> SecretFolder::remember(const std::string& what, const std::string& secret) const {
  const auto salt = random_bytes(32);
  const Json record = {{"salt", base64_encode(salt)},
                       {"given", base64_encode(hmac_sha256(salt, what + '\n' + secret))}};
  return write_file_atomic(path_ / record_name, record.dump() + "\n", 0600);
}

Result<std::string> read_source(const SecretSource& source, const fs::path& document) {
  std::string value;
  std::string where;
  if (!source.variable.empty()) {
    where = "the environment variable " + source.variable;
    const char* found = std::getenv(source.variable.c_str());
    if (found == nullptr) {
      return fail(ErrorKind::not_found, where + " is not set",
                  "set it for this command alone, or name a file instead");
    }
    value = found;
  } else {
    const auto path = fs::absolute(document).parent_path() / source.file;
    where = path.string();
    BP_TRY_DURING(value, "reading a secret", read_file(path, 64U << 10));
  }
  while (value.ends_with('\n') || value.ends_with('\r')) value.pop_back();
  if (value.empty()) return fail(ErrorKind::invalid, where + " is empty", "put the secret into it");
  return value;
}

}  // namespace bedplate::harbor

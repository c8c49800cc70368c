#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/site_document.hpp"
#include "core/site_root.hpp"

namespace bedplate {
namespace {

Result<std::map<std::string, std::string>> enrolment_from(const Json& object) {
  std::map<std::string, std::string> out;
  if (!object.is_object()) return fail(ErrorKind::invalid, "field 'enrolment' must be an object");
  for (const auto& [node, value] : object.items()) {
    BP_TRY(const auto text, json_string(object, node));
    auto secret = base64_decode(text);
    if (!secret || secret->size() != 32) {
      return fail(ErrorKind::invalid,
                  fmt::format("the enrolment secret of {} must be 32 bytes in base64", node));
    }
    out[node] = std::move(*secret);
  }
  return out;
}

Result<SiteSecrets> parse_secrets(const Json& object) {
  SiteSecrets out;
  const auto root = object.is_object() ? object.value("siteRoot", Json::object()) : Json();
  BP_TRY(out.site_root_key, json_string(root, "key"));
  BP_TRY(out.site_root_cert, json_string(root, "cert"));
  BP_TRY(out.bundle_key, json_string(object, "bundleKey"));
  BP_TRY(out.operator_key, json_string(object, "operatorKey"));
  BP_TRY(out.enrolment, enrolment_from(object.value("enrolment", Json())));
  return out;
}

/// One `site init` at a time in a folder: two would make two sets of keys, and one would be lost.
/// The folder is locked since the file itself is replaced.
Result<UniqueFd> lock_folder_of(const std::filesystem::path& path) {
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  BP_TRY(auto fd, open_file(folder, O_RDONLY | O_DIRECTORY));
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail(system_error(errno, "cannot lock " + folder.string()));
  }
  return fd;
}

/// Adds to the file's object what it lacks for the site. What is there stays as it is, known or
/// not. A site root that does not permit the site as it is now is replaced, and kept as an earlier
/// one: the file was made before the domain or a network was written into the site.
Result<void> complete(Json& object, const Site& site) {
  if (!object.is_object()) return fail(ErrorKind::invalid, "must be a JSON object");
  object["kind"] = "SiteSecrets";
  const auto root = object.value("siteRoot", Json::object());
  const auto certificate = root.is_object() ? json_string_or(root, "cert", "") : std::string();
  if (certificate.empty() || !permits(certificate, site)) {
    BP_TRY(const auto made, make_site_root(site));
    auto& earlier = object["earlierSiteRoots"];
    if (!earlier.is_array()) earlier = Json::array();
    if (!certificate.empty()) earlier.push_back(root);
    object["siteRoot"] = {{"key", made.key}, {"cert", made.certificate}};
  }
  for (const auto* key : {"bundleKey", "operatorKey"}) {
    if (!object.contains(key)) object[key] = PrivateKey::generate().to_pem();
  }
  auto& enrolment = object["enrolment"];
  if (enrolment.is_null()) enrolment = Json::object();
  if (!enrolment.is_object()) {
    return fail(ErrorKind::invalid, "field 'enrolment' must be an object");
  }
  for (const auto& node : site.nodes) {
    if (!enrolment.contains(node.name)) enrolment[node.name] = base64_encode(random_bytes(32));
  }
  return {};
}

Result<void> match_or_fill(std::vector<PublicKey>& named, const std::string& private_pem,
                           std::string_view what) {
  BP_TRY(const auto key, PrivateKey::from_pem(private_pem));
  if (named.empty()) named.push_back(key.public_key());
  if (std::ranges::find(named, key.public_key()) != named.end()) return {};
  return fail(ErrorKind::untrusted,
              fmt::format("the site file's trust.{} does not hold the key of the secrets file "
                          "({})",
                          what, key.public_key().fingerprint()),
              "use the secrets that belong to this site file, or remove the field to take the key "
              "from the secrets");
}

}  // namespace

Result<void> refuse_readable_by_others(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return fail(system_error(errno, "cannot read " + path.string()));
  }
  if ((info.st_mode & 077U) != 0) {
    return fail(
        ErrorKind::untrusted,
        fmt::format("{} holds private keys and can be read by others (mode {:04o})", path.string(),
                    info.st_mode & 07777U),
        fmt::format("chmod 600 {}; if others may have read it, make new keys", path.string()));
  }
  return {};
}

Result<SiteSecrets> read_secrets(const std::filesystem::path& path) {
  BP_CHECK(refuse_readable_by_others(path));
  BP_TRY(const auto object, read_json(path));
  BP_TRY_DURING(auto secrets, "reading " + path.string(), parse_secrets(object));
  return secrets;
}

Result<SiteSecrets> ensure_secrets(const std::filesystem::path& path, const Site& site) {
  BP_TRY(const auto lock, lock_folder_of(path));
  Json object = Json::object();
  std::error_code code;
  if (std::filesystem::exists(path, code)) {
    BP_CHECK(refuse_readable_by_others(path));
    BP_TRY(object, read_json(path));
  }
  const Json before = object;
  BP_CHECK_DURING("completing " + path.string(), complete(object, site));
  // Read before it is written: what is broken in the file is reported and left alone.
  BP_TRY_DURING(auto secrets, "reading " + path.string(), parse_secrets(object));
  if (object != before) BP_CHECK(write_file_atomic(path, object.dump(2) + "\n", 0600));
  return secrets;
}

std::filesystem::path default_secrets_path(const std::filesystem::path& site_path) {
  auto out = site_path;
  return out.replace_extension(".secrets");
}

Result<Site> seal_site(Site site, const SiteSecrets& secrets) {
  BP_CHECK(match_or_fill(site.trust.bundle_keys, secrets.bundle_key, "bundleKeys"));
  BP_CHECK(match_or_fill(site.trust.operator_keys, secrets.operator_key, "operatorKeys"));
  auto& roots = site.trust.site_roots;
  if (roots.empty()) roots.push_back(secrets.site_root_cert);
  if (std::ranges::none_of(roots, [&](const std::string& root) {
        return same_certificate(root, secrets.site_root_cert);
      })) {
    return fail(ErrorKind::untrusted,
                "the site file's trust.siteRoots does not hold the site root of the secrets file",
                "use the secrets that belong to this site file, or remove the field to take the "
                "root from the secrets");
  }
  for (const auto& node : site.nodes) {
    if (secrets.enrolment.contains(node.name)) continue;
    return fail(ErrorKind::invalid,
                fmt::format("the secrets file has no enrolment secret for node {}", node.name),
                "run `bedplate site init` on the site file: it adds what is missing");
  }
  return site;
}

std::string enrolment_to_json(const std::map<std::string, std::string>& enrolment) {
  Json out = Json::object();
  for (const auto& [node, secret] : enrolment) out[node] = base64_encode(secret);
  return out.dump(2) + "\n";
}

Result<std::map<std::string, std::string>> read_enrolment(const std::filesystem::path& path) {
  BP_TRY(const auto object, read_json(path));
  BP_TRY_DURING(auto out, "reading " + path.string(), enrolment_from(object));
  return out;
}

}  // namespace bedplate

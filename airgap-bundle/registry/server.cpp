#include "airgap-bundle/registry/server.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "core/text.hpp"

namespace bedplate::registry {
namespace {

constexpr std::string_view json_lines =
    "Content-Type: application/json\r\nDocker-Distribution-Api-Version: registry/2.0\r\n";
constexpr std::string_view blob_lines =
    "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n"
    "Docker-Distribution-Api-Version: registry/2.0\r\n";

/// What clients sent stands in the text: bytes that are no UTF-8 are replaced, not thrown about.
std::string text_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

ServerResponse error(int status, std::string_view code, std::string message) {
  ServerResponse response;
  response.status = status;
  response.lines = json_lines;
  response.body = text_of(
      Json{{"errors", {{{"code", code}, {"message", std::move(message)}, {"detail", nullptr}}}}});
  return response;
}

/// The file is not what was signed; the client learns that, the log what and where.
ServerResponse broken(const Error& reason) {
  log::error("{}", reason.what);
  return error(500, "UNKNOWN", "the bundle cannot be read here: " + reason.what);
}

struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// RFC 9110 section 14.2. Nothing: no range, or one that is to be ignored (several, other units).
/// first > last: not satisfiable.
std::optional<Range> parse_range(std::string_view text, std::uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  if (!text.starts_with(unit) || text.find(',') != std::string_view::npos) return std::nullopt;
  text.remove_prefix(unit.size());
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_unsigned(text.substr(0, dash));
  const auto last = parse_unsigned(text.substr(dash + 1));
  if (dash == 0) {
    if (!last) return std::nullopt;
    if (*last == 0 || size == 0) return Range{1, 0};
    return Range{size - std::min(size, *last), size - 1};
  }
  if (!first || (dash + 1 < text.size() && !last) || (last && *last < *first)) return std::nullopt;
  if (*first >= size) return Range{1, 0};
  return Range{*first, last ? std::min(*last, size - 1) : size - 1};
}

/// "/v2/<name>/<kind>/<rest>" with the last such kind, since names contain slashes.
struct Target {
  std::string_view name;
  std::string_view kind;
  std::string_view rest;
};

std::optional<Target> parse_target(std::string_view path) {
  constexpr std::string_view prefix = "/v2/";
  if (!path.starts_with(prefix)) return std::nullopt;
  const auto slash = path.rfind('/');
  const auto before = path.substr(0, slash);
  for (const std::string_view kind : {"manifests", "blobs", "tags", "referrers"}) {
    const auto front = before.size() < kind.size() + 1 ? 0 : before.size() - kind.size() - 1;
    if (front <= prefix.size() || !before.ends_with(kind) || before[front] != '/') continue;
    return Target{path.substr(prefix.size(), front - prefix.size()), kind, path.substr(slash + 1)};
  }
  return std::nullopt;
}

/// How a digest in a path may fail to name something.
struct AskedDigest {
  std::optional<Digest> ours;
  bool well_formed = false;  ///< by the grammar; perhaps of an algorithm that no bundle has
};

/// The grammar of OCI image-spec, descriptor.md, "Digests".
AskedDigest parse_digest(std::string_view text) {
  AskedDigest out;
  if (auto parsed = Digest::parse(text)) {
    out.ours = *parsed;
    out.well_formed = true;
    return out;
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || text.starts_with("sha256:")) return out;
  const auto hex = text.substr(colon + 1);
  if (text.starts_with("sha512:") && hex.size() != 128) return out;
  constexpr std::string_view separators = "+._-";
  constexpr std::string_view others = "=_-";
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  out.well_formed = !hex.empty() && std::ranges::all_of(text.substr(0, colon), [&](char c) {
    return plain(c) || separators.find(c) != separators.npos;
  }) && std::ranges::all_of(hex, [&](char c) {
    return plain(c) || (c >= 'A' && c <= 'Z') || others.find(c) != others.npos;
  });
  return out;
}

ServerResponse invalid_digest(std::string_view text) {
  return error(400, "DIGEST_INVALID",
               fmt::format("'{}' is not a digest (sha256:<64 hex digits>)", text.substr(0, 200)));
}

/// Whether a list of entity tags (RFC 9110 section 13.1.2) has that of the digest.
bool names_tag(std::string_view list, const Digest& digest) {
  return !list.empty() &&
         (list == "*" || list.find("\"" + digest.str() + "\"") != std::string_view::npos);
}

}  // namespace

Result<BundleRegistry> BundleRegistry::create(const bundle::Reader& reader) {
  return create(Readers{std::shared_ptr<const bundle::Reader>(std::shared_ptr<void>(), &reader)});
}

Result<BundleRegistry> BundleRegistry::create(Readers readers) {
  BP_TRY(auto content, Content::merge(std::move(readers)));
  return BundleRegistry(std::move(content));
}

ServerResponse BundleRegistry::handle(const ServerRequest& request) const {
  const auto of_kind = [](ServerResponse response, std::string_view kind) {
    response.kind = kind;
    return response;
  };
  const auto target = parse_target(request.path);
  if (request.method != "GET" && request.method != "HEAD") {
    auto refused = error(405, "UNSUPPORTED", "this registry serves signed bundles: read only");
    refused.headers.emplace_back("Allow", "GET, HEAD");
    return of_kind(std::move(refused), target ? target->kind : "other");
  }
  if (request.path == "/v2/" || request.path == "/v2") {
    ServerResponse response;
    response.lines = json_lines;
    response.body = "{}";
    return of_kind(std::move(response), "base");
  }
  if (!target) {
    return error(404, "NOT_FOUND",
                 fmt::format("no such endpoint: {}", request.path.substr(0, 200)));
  }
  if (target->kind == "blobs") return of_kind(blob(request, target->rest), target->kind);
  const auto ns = request.query.empty() ? std::string() : request.parameter("ns");
  const auto* repository = content_->repository(target->name, ns);
  if (repository == nullptr) {
    return of_kind(error(404, "NAME_UNKNOWN",
                         fmt::format("the bundle has no repository {}{}{}", ns,
                                     ns.empty() ? "" : "/", target->name)),
                   target->kind);
  }
  if (target->kind == "manifests") {
    return of_kind(manifest(request, *repository, target->name, target->rest), target->kind);
  }
  if (target->kind == "referrers") {
    return of_kind(referrers(request, *repository, target->rest), target->kind);
  }
  if (target->rest == "list") {
    return of_kind(tags(request, *repository, target->name), target->kind);
  }
  return error(404, "NOT_FOUND", fmt::format("no such endpoint: {}", request.path.substr(0, 200)));
}

ServerResponse BundleRegistry::manifest(const ServerRequest& request, const Repository& repository,
                                        std::string_view name, std::string_view reference) const {
  const Blob* found = nullptr;
  if (reference.find(':') != std::string_view::npos) {
    const auto digest = parse_digest(reference);
    if (!digest.well_formed) return invalid_digest(reference);
    if (digest.ours) found = content_->blob(*digest.ours);
  } else if (const auto tag = repository.tags.find(reference); tag != repository.tags.end()) {
    found = tag->second.blob;
  }
  const Document* document = nullptr;
  if (found != nullptr) {
    auto read = content_->document(*found);
    if (!read) return broken(read.error());
    document = *read;
  }
  if (document == nullptr) {
    return error(404, "MANIFEST_UNKNOWN",
                 fmt::format("the bundle has no {}/{}:{}", repository.registry, name, reference));
  }
  ServerResponse response;
  response.owner = content_;
  response.lines = document->lines;
  if (names_tag(request.header("if-none-match"), found->digest)) {
    response.status = 304;
  } else {
    response.shared_body = document->text;
  }
  return response;
}

ServerResponse BundleRegistry::blob(const ServerRequest& request, std::string_view text) const {
  const auto digest = parse_digest(text);
  if (!digest.well_formed) return invalid_digest(text);
  const auto* found = digest.ours ? content_->blob(*digest.ours) : nullptr;
  if (found == nullptr) {
    return error(404, "BLOB_UNKNOWN", fmt::format("the bundle has no blob {}", text));
  }
  ServerResponse response;
  response.owner = content_;
  response.lines = blob_lines;
  const auto written = digest.ours->str();
  response.headers = {{"Docker-Content-Digest", written}, {"ETag", "\"" + written + "\""}};
  if (names_tag(request.header("if-none-match"), *digest.ours)) {
    response.status = 304;
    return response;
  }
  response.file = found->reader->fd();
  response.file_offset = found->offset;
  response.file_length = found->size;
  // A range counts for GET only, and, with If-Range, only of this very content: there are no dates.
  const auto if_range = request.header("if-range");
  if (request.method != "GET" || (!if_range.empty() && if_range != "\"" + written + "\"")) {
    return response;
  }
  const auto range = parse_range(request.header("range"), found->size);
  if (!range) return response;
  if (range->first > range->last) {
    auto refused = error(416, "RANGE_INVALID", "the blob is shorter than that");
    refused.headers.emplace_back("Content-Range", fmt::format("bytes */{}", found->size));
    return refused;
  }
  response.status = 206;
  response.file_offset += range->first;
  response.file_length = range->last - range->first + 1;
  response.headers.emplace_back(
      "Content-Range", fmt::format("bytes {}-{}/{}", range->first, range->last, found->size));
  return response;
}

ServerResponse BundleRegistry::tags(const ServerRequest& request, const Repository& repository,
                                    std::string_view name) {
  const auto& known = repository.tags;
  const auto last = request.parameter("last");
  const auto count_text = request.parameter("n");
  const auto count = parse_unsigned(count_text);
  if (!count_text.empty() && !count) {
    return error(400, "PAGINATION_NUMBER_INVALID", "n must be a number");
  }
  Json list = Json::array();
  bool more = false;
  for (auto it = last.empty() ? known.begin() : known.upper_bound(last); it != known.end(); ++it) {
    more = count && list.size() >= *count;
    if (more) break;
    list.push_back(it->first);
  }
  ServerResponse response;
  response.lines = json_lines;
  if (more && !list.empty()) {
    const auto ns = request.parameter("ns");
    response.headers.emplace_back(
        "Link", fmt::format("</v2/{}/tags/list?n={}&last={}{}>; rel=\"next\"", name, *count,
                            list.back().get<std::string>(), ns.empty() ? "" : "&ns=" + ns));
  }
  response.body = text_of(Json{{"name", name}, {"tags", std::move(list)}});
  return response;
}

ServerResponse BundleRegistry::referrers(const ServerRequest& request, const Repository& repository,
                                         std::string_view subject) const {
  const auto digest = parse_digest(subject);
  if (!digest.well_formed) return invalid_digest(subject);
  const auto wanted = request.parameter("artifactType");
  Json list = Json::array();
  const auto found =
      digest.ours ? repository.referrers.find(*digest.ours) : repository.referrers.end();
  if (found != repository.referrers.end()) {
    for (const auto& referrer : found->second) {
      const auto read = content_->document(*referrer.blob);
      if (!read) return broken(read.error());
      if (*read == nullptr) continue;
      // What is signed and still no JSON has no annotations.
      const auto manifest = parse_json((*read)->text, "the referrer").value_or(Json::object());
      auto type = referrer.entry->artifact_type;
      if (type.empty()) type = json_string_or(manifest, "artifactType", "");
      if (type.empty() && manifest.contains("config")) {
        type = json_string_or(manifest["config"], "mediaType", "");
      }
      if (!wanted.empty() && type != wanted) continue;
      Json item{{"mediaType", (*read)->media_type},
                {"digest", referrer.blob->digest.str()},
                {"size", referrer.blob->size}};
      if (!type.empty()) item["artifactType"] = type;
      if (manifest.contains("annotations")) item["annotations"] = manifest["annotations"];
      list.push_back(std::move(item));
    }
  }
  ServerResponse response;
  response.headers = {{"Content-Type", std::string(oci::media::index)}};
  if (!wanted.empty()) response.headers.emplace_back("OCI-Filters-Applied", "artifactType");
  response.body = text_of(
      Json{{"schemaVersion", 2}, {"mediaType", oci::media::index}, {"manifests", std::move(list)}});
  return response;
}

}  // namespace bedplate::registry

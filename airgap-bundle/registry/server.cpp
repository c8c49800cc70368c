#include "airgap-bundle/registry/server.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/oci/reference.hpp"
#include "core/json.hpp"

namespace bedplate::registry {
namespace {

ServerResponse error(int status, std::string_view code, std::string message) {
  ServerResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}};
  response.body =
      Json{{"errors", {{{"code", code}, {"message", std::move(message)}, {"detail", nullptr}}}}}
          .dump();
  return response;
}

struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

/// RFC 9110 section 14.2. Nothing: no range, or one that is to be ignored (several, other units).
/// first > last: not satisfiable.
std::optional<Range> parse_range(std::string_view text, std::uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  if (!text.starts_with(unit) || text.find(',') != std::string_view::npos) return std::nullopt;
  text.remove_prefix(unit.size());
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = number(text.substr(0, dash));
  const auto last = number(text.substr(dash + 1));
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
  std::string name;
  std::string kind;
  std::string rest;
};

std::optional<Target> parse_target(const std::string& path) {
  constexpr std::string_view prefix = "/v2/";
  if (!path.starts_with(prefix)) return std::nullopt;
  for (const std::string kind : {"manifests", "blobs", "tags", "referrers"}) {
    const auto at = path.rfind("/" + kind + "/");
    if (at == std::string::npos || at < prefix.size()) continue;
    return Target{path.substr(prefix.size(), at - prefix.size()), kind,
                  path.substr(at + kind.size() + 2)};
  }
  return std::nullopt;
}

}  // namespace

Result<BundleRegistry> BundleRegistry::create(const bundle::Reader& reader) {
  BundleRegistry registry(reader);
  const auto keep = [&](const Digest& digest, std::string media_type) -> Result<void> {
    BP_TRY(auto content, reader.blob(digest));
    registry.manifests_[digest] = {std::move(media_type), std::move(content)};
    return {};
  };
  for (const auto& image : reader.header().images) {
    BP_TRY(const auto reference, oci::Reference::parse(image.name));
    BP_CHECK(keep(image.digest, image.media_type));
    registry.tags_[reference.registry + "/" + reference.repository][reference.tag] = image.digest;
    registry.registries_[reference.repository].insert(reference.registry);
    if (!image.index) continue;
    BP_CHECK(keep(*image.index, {}));
    auto& index = registry.manifests_[*image.index];
    BP_TRY(index.media_type, oci::manifest_media_type(index.content, oci::media::index));
  }
  const auto name = [&](const std::string& repository, std::string tag, const Digest& digest) {
    registry.tags_["localhost/" + repository][std::move(tag)] = digest;
    registry.registries_[repository].insert("localhost");
  };
  for (const auto& artifact : reader.header().artifacts) {
    BP_CHECK(keep(artifact.digest, std::string(oci::media::manifest)));
    name("bedplate/" + artifact.name, artifact.version, artifact.digest);
  }
  for (const auto& chart : reader.header().charts) {
    BP_CHECK(keep(chart.digest, std::string(oci::media::manifest)));
    auto tag = chart.version;  // a tag has no '+': Helm writes '_' for it
    std::ranges::replace(tag, '+', '_');
    name("charts/" + chart.name, std::move(tag), chart.digest);
  }
  return registry;
}

std::string BundleRegistry::resolve(const std::string& name, const std::string& registry) const {
  if (!registry.empty()) {
    const auto full = registry + "/" + name;
    return tags_.contains(full) ? full : "";
  }
  if (tags_.contains(name)) return name;
  const auto found = registries_.find(name);
  if (found == registries_.end() || found->second.size() != 1) return "";
  return *found->second.begin() + "/" + name;
}

ServerResponse BundleRegistry::handle(const ServerRequest& request) const {
  if (request.method != "GET" && request.method != "HEAD") {
    auto refused = error(405, "UNSUPPORTED", "this registry serves a signed bundle: read only");
    refused.headers.emplace_back("Allow", "GET, HEAD");
    return refused;
  }
  if (request.path == "/v2/" || request.path == "/v2") {
    ServerResponse response;
    response.headers = {{"Content-Type", "application/json"},
                        {"Docker-Distribution-Api-Version", "registry/2.0"}};
    response.body = "{}";
    return response;
  }
  const auto target = parse_target(request.path);
  if (!target) return error(404, "NOT_FOUND", "no such endpoint: " + request.path);
  if (target->kind == "blobs") return blob(request, target->rest);
  const auto ns = request.parameter("ns");
  const auto repository = resolve(target->name, ns);
  if (repository.empty()) {
    return error(404, "NAME_UNKNOWN",
                 fmt::format("the bundle has no repository {}{}{}", ns, ns.empty() ? "" : "/",
                             target->name));
  }
  if (target->kind == "manifests") return manifest(repository, target->rest);
  if (target->kind == "tags" && target->rest == "list") return tags(request, repository);
  if (target->kind == "referrers") {
    ServerResponse response;
    response.headers = {{"Content-Type", std::string(oci::media::index)}};
    if (!request.parameter("artifactType").empty()) {
      response.headers.emplace_back("OCI-Filters-Applied", "artifactType");
    }
    response.body =
        Json{{"schemaVersion", 2}, {"mediaType", oci::media::index}, {"manifests", Json::array()}}
            .dump();
    return response;
  }
  return error(404, "NOT_FOUND", "no such endpoint: " + request.path);
}

ServerResponse BundleRegistry::manifest(const std::string& repository,
                                        const std::string& reference) const {
  const auto unknown = [&] {
    return error(404, "MANIFEST_UNKNOWN",
                 fmt::format("the bundle has no {}:{}", repository, reference));
  };
  std::optional<Digest> digest;
  if (auto parsed = Digest::parse(reference)) {
    digest = *parsed;
  } else {
    const auto& known = tags_.at(repository);
    const auto found = known.find(reference);
    if (found == known.end()) return unknown();
    digest = found->second;
  }
  const auto found = manifests_.find(*digest);
  if (found == manifests_.end()) return unknown();
  ServerResponse response;
  response.headers = {{"Content-Type", found->second.media_type},
                      {"Docker-Content-Digest", digest->str()},
                      {"ETag", "\"" + digest->str() + "\""}};
  response.body = found->second.content;
  return response;
}

ServerResponse BundleRegistry::blob(const ServerRequest& request, const std::string& text) const {
  const auto digest = Digest::parse(text);
  if (!digest) return error(400, "DIGEST_INVALID", digest.error().what);
  const auto* entry = reader_->header().find(*digest);
  if (entry == nullptr) return error(404, "BLOB_UNKNOWN", "the bundle has no blob " + text);
  ServerResponse response;
  response.headers = {{"Content-Type", "application/octet-stream"},
                      {"Docker-Content-Digest", digest->str()},
                      {"Accept-Ranges", "bytes"},
                      {"ETag", "\"" + digest->str() + "\""}};
  response.file = reader_->fd();
  response.file_offset = entry->offset;
  response.file_length = entry->size;
  const auto range = parse_range(request.header("range"), entry->size);
  if (!range) return response;
  if (range->first > range->last) {
    auto refused = error(416, "RANGE_INVALID", "the blob is shorter than that");
    refused.headers.emplace_back("Content-Range", fmt::format("bytes */{}", entry->size));
    return refused;
  }
  response.status = 206;
  response.file_offset += range->first;
  response.file_length = range->last - range->first + 1;
  response.headers.emplace_back(
      "Content-Range", fmt::format("bytes {}-{}/{}", range->first, range->last, entry->size));
  return response;
}

ServerResponse BundleRegistry::tags(const ServerRequest& request,
                                    const std::string& repository) const {
  const auto& known = tags_.at(repository);  // a map: sorted, as the specification wants
  const auto last = request.parameter("last");
  const auto count_text = request.parameter("n");
  const auto count = number(count_text);
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
  const auto name = request.path.substr(4, request.path.rfind("/tags/") - 4);
  ServerResponse response;
  response.headers = {{"Content-Type", "application/json"}};
  if (more && !list.empty()) {
    const auto ns = request.parameter("ns");
    response.headers.emplace_back(
        "Link", fmt::format("</v2/{}/tags/list?n={}&last={}{}>; rel=\"next\"", name, *count,
                            list.back().get<std::string>(), ns.empty() ? "" : "&ns=" + ns));
  }
  response.body = Json{{"name", name}, {"tags", std::move(list)}}.dump();
  return response;
}

}  // namespace bedplate::registry

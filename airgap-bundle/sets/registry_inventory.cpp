// What a registry has, found by its catalog, its tags and its manifests.

#include <mutex>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "airgap-bundle/collect/fetch.hpp"
#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/registry/listing.hpp"
#include "airgap-bundle/sets/inventory.hpp"
#include "core/json.hpp"
#include "core/log.hpp"

namespace bedplate::sets {
namespace {

constexpr unsigned workers = 8;
/// An index of indexes of indexes is nobody's.
constexpr int deepest = 4;

/// One repository: follows manifests, each of them once.
class Walk {
 public:
  Walk(registry::Client& client, Inventory& found) : client_(client), found_(found) {}

  /// A tag or digest that is gone meanwhile, or was never there, is passed over.
  Result<std::optional<Digest>> follow(const std::string& reference, int depth = 0) {
    auto manifest = client_.manifest(reference);
    if (!manifest && manifest.error().kind == ErrorKind::not_found) return std::nullopt;
    if (!manifest) return fail(std::move(manifest).error());
    const auto digest = Digest::of(manifest->content);
    if (!seen_.insert(digest).second) return digest;
    const auto refers = depth < deepest ? follow_content(*manifest, depth) : Result<void>{};
    if (!refers && refers.error().kind == ErrorKind::network) return fail(refers.error());
    if (!refers) {
      log::warning("{}/{}@{} is left out of the inventory: {}", client_.repository().registry,
                   client_.repository().repository, digest.str(), refers.error().what);
      return std::nullopt;
    }
    found_.blobs.emplace(digest, manifest->content.size());
    return digest;
  }

 private:
  Result<void> follow_content(const registry::Client::Manifest& manifest, int depth) {
    BP_TRY(const auto type, oci::manifest_media_type(manifest.content, manifest.media_type));
    if (!oci::is_index(type)) {
      BP_TRY(const auto parsed, oci::parse_manifest(manifest.content));
      found_.blobs.emplace(parsed.config.digest, parsed.config.size);
      for (const auto& layer : parsed.layers) found_.blobs.emplace(layer.digest, layer.size);
      return {};
    }
    BP_TRY(const auto index, parse_json(manifest.content, "the index"));
    const auto children = index.find("manifests");
    if (children == index.end() || !children->is_array()) {
      return fail(ErrorKind::invalid, "an index without manifests");
    }
    for (const auto& child : *children) {
      BP_TRY(const auto text, json_string(child, "digest"));
      BP_TRY(const auto digest, Digest::parse(text));
      BP_CHECK(follow(digest.str(), depth + 1));
    }
    return {};
  }

  registry::Client& client_;
  Inventory& found_;
  std::set<Digest> seen_;
};

Result<Inventory> walk_repository(HttpClient& http, const oci::Reference& repository,
                                  const registry::Access& access) {
  BP_TRY(auto endpoint, access.endpoint(repository));
  registry::Client client(http, repository, endpoint.options);
  Inventory found;
  Walk walk(client, found);
  BP_TRY(const auto tags, registry::list_tags(client));
  for (const auto& tag : tags) {
    BP_TRY(const auto digest, walk.follow(tag));
    auto name = repository;
    name.tag = tag;
    if (digest) found.images.insert_or_assign(name.str(), *digest);
  }
  return found;
}

Result<std::vector<std::string>> catalog(const std::string& host, const registry::Access& access) {
  const auto http = make_http_client();
  const oci::Reference nobody{host, "", "", {}};
  BP_TRY(auto endpoint, access.endpoint(nobody));
  registry::Client client(*http, nobody, endpoint.options);
  return registry::list_repositories(client);
}

}  // namespace

Result<void> add_registry(Inventory& inventory, const std::string& host,
                          const registry::Access& access, Progress* progress) {
  BP_TRY_DURING(const auto repositories, "asking " + host + " what it has", catalog(host, access));
  inventory.sources.push_back("registry " + host);
  if (progress != nullptr) progress->begin("ask " + host + " for manifests", 0);
  std::mutex mutex;
  std::optional<Error> error;
  collect::in_parallel(repositories.size(), workers, [&](std::size_t i, HttpClient& http) {
    {
      const std::lock_guard lock(mutex);
      if (error) return;
    }
    auto found = walk_repository(http, {host, repositories[i], "", {}}, access);
    const std::lock_guard lock(mutex);
    if (!found) {
      if (!error)
        error = std::move(found).error().during("listing " + host + "/" + repositories[i]);
      return;
    }
    inventory.blobs.merge(found->blobs);
    inventory.images.merge(found->images);
  });
  if (progress != nullptr) progress->end();
  if (error) return fail(std::move(*error));
  return {};
}

}  // namespace bedplate::sets

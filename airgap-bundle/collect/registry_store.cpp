#include <vector>

#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/registry/client.hpp"

namespace bedplate::collect {
namespace {

class RegistryStore final : public ImageStore {
 public:
  RegistryStore(HttpClient& http, std::vector<registry::Endpoint> endpoints)
      : reference_(endpoints.back().reference) {
    for (auto& endpoint : endpoints) {
      clients_.emplace_back(http, std::move(endpoint.reference), std::move(endpoint.options));
    }
  }

  Result<Document> root() override {
    const auto wanted = reference_.digest ? reference_.digest->str() : reference_.tag;
    BP_TRY(auto manifest, ask(wanted));
    oci::Descriptor descriptor;
    descriptor.media_type = manifest.media_type;
    descriptor.size = manifest.content.size();
    // A tag stands for whatever came; a digest has to be what was asked for.
    descriptor.digest = reference_.digest.value_or(Digest::of(manifest.content));
    return Document{std::move(descriptor), std::move(manifest.content)};
  }

  Result<std::string> manifest(const oci::Descriptor& descriptor) override {
    BP_TRY(auto manifest, ask(descriptor.digest.str()));
    return std::move(manifest.content);
  }

  Result<void> blob(const oci::Descriptor& descriptor, std::uint64_t from,
                    const bundle::Writer::Sink& sink) override {
    auto done = from;
    bool sink_failed = false;
    const bundle::Writer::Sink counting = [&](std::span<const std::byte> data) -> Result<void> {
      auto taken = sink(data);
      sink_failed = !taken;
      done += data.size();
      return taken;
    };
    return first_of(
        [&](registry::Client& client) { return client.blob(descriptor, counting, done); },
        [&] { return !sink_failed; });
  }

  /// A mirror that knows of none may just not keep them: the next one is asked.
  Result<std::vector<oci::Descriptor>> referrers(const Digest& subject) override {
    for (std::size_t i = 0; i + 1 < clients_.size(); ++i) {
      auto listed = clients_[i].referrers(subject);
      if (listed && !listed->empty()) return listed;
    }
    return clients_.back().referrers(subject);
  }

  Result<std::optional<Document>> tagged(const std::string& tag) override {
    auto manifest = ask(tag);
    if (!manifest && manifest.error().kind == ErrorKind::not_found) return std::nullopt;
    if (!manifest) return fail(std::move(manifest).error());
    oci::Descriptor descriptor;
    descriptor.media_type = manifest->media_type;
    descriptor.size = manifest->content.size();
    descriptor.digest = Digest::of(manifest->content);
    return Document{std::move(descriptor), std::move(manifest->content)};
  }

 private:
  Result<registry::Client::Manifest> ask(const std::string& wanted) {
    return first_of([&](registry::Client& client) { return client.manifest(wanted); },
                    [] { return true; });
  }

  /// The first endpoint that can do it. When none can, the registry itself has the last word.
  template <class Action, class MayGoOn>
  auto first_of(const Action& action, const MayGoOn& may_go_on)
      -> decltype(action(std::declval<registry::Client&>())) {
    for (std::size_t i = 0; i + 1 < clients_.size(); ++i) {
      auto result = action(clients_[i]);
      if (result || !may_go_on()) return result;
    }
    return action(clients_.back());
  }

  oci::Reference reference_;
  std::vector<registry::Client> clients_;
};

}  // namespace

Result<std::unique_ptr<ImageStore>> open_registry(const ImageSpec& image,
                                                  const registry::Access& registries,
                                                  HttpClient& http) {
  BP_TRY(const auto reference, oci::Reference::parse(image.source.location));
  BP_TRY(auto endpoints, registries.endpoints(reference));
  endpoints.back().options.plain_http |= image.source.plain_http;
  return std::make_unique<RegistryStore>(http, std::move(endpoints));
}

}  // namespace bedplate::collect

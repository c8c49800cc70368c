#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/registry/client.hpp"

namespace bedplate::collect {
namespace {

class RegistryStore final : public ImageStore {
 public:
  RegistryStore(oci::Reference reference, bool plain_http,
                std::optional<registry::Credential> credential)
      : reference_(std::move(reference)),
        client_(*http_, reference_, {plain_http, std::move(credential), &clock_}) {}

  Result<Document> root() override {
    const auto wanted = reference_.digest ? reference_.digest->str() : reference_.tag;
    BP_TRY(auto manifest, client_.manifest(wanted));
    oci::Descriptor descriptor;
    descriptor.media_type = manifest.media_type;
    descriptor.size = manifest.content.size();
    // A tag stands for whatever came; a digest has to be what was asked for.
    descriptor.digest = reference_.digest.value_or(Digest::of(manifest.content));
    return Document{std::move(descriptor), std::move(manifest.content)};
  }

  Result<std::string> manifest(const oci::Descriptor& descriptor) override {
    BP_TRY(auto manifest, client_.manifest(descriptor.digest.str()));
    return std::move(manifest.content);
  }

  Result<void> blob(const oci::Descriptor& descriptor, const bundle::Writer::Sink& sink) override {
    return client_.blob(descriptor, sink);
  }

 private:
  oci::Reference reference_;
  SystemClock clock_;
  std::unique_ptr<HttpClient> http_ = make_http_client();
  registry::Client client_;
};

}  // namespace

Result<std::unique_ptr<ImageStore>> open_registry(const ImageSpec& image) {
  BP_TRY(auto reference, oci::Reference::parse(image.source.location));
  SystemProcessRunner runner;
  using registry::Credentials;
  BP_TRY(const auto logins, Credentials::read(Credentials::usual_files(), runner));
  BP_TRY(auto login, logins.find(reference.registry, reference.repository));
  return std::make_unique<RegistryStore>(std::move(reference), image.source.plain_http,
                                         std::move(login));
}

}  // namespace bedplate::collect

#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "airgap-bundle/oci/descriptor.hpp"
#include "airgap-bundle/registry/access.hpp"
#include "core/http_client.hpp"
#include "core/result.hpp"

namespace bedplate::supply {
class Policy;
}

namespace bedplate::collect {

/// A manifest or index as it lies in the source.
struct Document {
  oci::Descriptor descriptor;
  std::string text;
};

/// Where an existing image is copied from. Content is not checked here: the caller compares every
/// byte with the digests. For one thread at a time.
class ImageStore {
 public:
  virtual ~ImageStore() = default;
  /// What the source's name or tag stands for.
  virtual Result<Document> root() = 0;
  /// A manifest named by an index.
  virtual Result<std::string> manifest(const oci::Descriptor& descriptor) = 0;
  /// Feeds a layer or configuration to the sink, in order, beginning with byte `from`.
  virtual Result<void> blob(const oci::Descriptor& descriptor, std::uint64_t from,
                            const bundle::Writer::Sink& sink) = 0;
  /// Manifests that name `subject` as theirs, as far as the source knows.
  virtual Result<std::vector<oci::Descriptor>> referrers(const Digest& subject) = 0;
  /// A manifest by its tag in the image's repository; nothing when there is no such tag.
  virtual Result<std::optional<Document>> tagged(const std::string& tag) = 0;
};

/// What is needed to open sources. Shared by threads.
struct Sources {
  std::filesystem::path root;  ///< what paths of the specification are relative to
  const registry::Access& registries;
  std::string spec = {};                   ///< file that names the images, for messages
  const supply::Policy* policy = nullptr;  ///< what is taken must satisfy it
};

/// The store of an image that exists already. `http` is used for registries and must outlive it.
Result<std::unique_ptr<ImageStore>> open_store(const ImageSpec& image, const Sources& sources,
                                               HttpClient& http);

/// An OCI image layout in a folder (image-spec, image-layout.md).
Result<std::unique_ptr<ImageStore>> open_layout(const ImageSpec& image,
                                                const std::filesystem::path& folder);
/// The same in an uncompressed tar archive; nothing is unpacked.
Result<std::unique_ptr<ImageStore>> open_archive(const ImageSpec& image,
                                                 const std::filesystem::path& file);
/// A registry or its mirrors, asked as who is logged in there, else as nobody.
Result<std::unique_ptr<ImageStore>> open_registry(const ImageSpec& image,
                                                  const registry::Access& registries,
                                                  HttpClient& http);

/// Feeds `size` bytes of an open file from `offset` on.
Result<void> feed_range(int fd, std::uint64_t offset, std::uint64_t size,
                        const bundle::Writer::Sink& sink);

}  // namespace bedplate::collect

#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "airgap-bundle/oci/descriptor.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

/// A manifest or index as it lies in the source.
struct Document {
  oci::Descriptor descriptor;
  std::string text;
};

/// Where an existing image is copied from. Content is not checked here: the caller compares every
/// byte with the digests.
class ImageStore {
 public:
  virtual ~ImageStore() = default;
  /// What the source's name or tag stands for.
  virtual Result<Document> root() = 0;
  /// A manifest named by an index.
  virtual Result<std::string> manifest(const oci::Descriptor& descriptor) = 0;
  /// Feeds a layer or configuration to the sink, in order.
  virtual Result<void> blob(const oci::Descriptor& descriptor,
                            const bundle::Writer::Sink& sink) = 0;
};

/// An OCI image layout in a folder (image-spec, image-layout.md).
Result<std::unique_ptr<ImageStore>> open_layout(const ImageSpec& image,
                                                const std::filesystem::path& folder);
/// The same in an uncompressed tar archive; nothing is unpacked.
Result<std::unique_ptr<ImageStore>> open_archive(const ImageSpec& image,
                                                 const std::filesystem::path& file);
/// A registry, asked as who is logged in there (registry::Credentials::usual_files), else as
/// nobody.
Result<std::unique_ptr<ImageStore>> open_registry(const ImageSpec& image);

/// Feeds `size` bytes of an open file from `offset` on.
Result<void> feed_range(int fd, std::uint64_t offset, std::uint64_t size,
                        const bundle::Writer::Sink& sink);

}  // namespace bedplate::collect

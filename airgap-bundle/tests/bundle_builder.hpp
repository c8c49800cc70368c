#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/bundle/format.hpp"
#include "core/json.hpp"
#include "core/signature.hpp"

namespace bedplate::bundle_test {

/// Writes bundles that `create` would not write: any header over any blobs.
class BundleBuilder {
 public:
  struct Blob {
    Digest digest;
    std::size_t size = 0;
    Json descriptor(std::string_view media_type) const;
  };

  Blob blob(const std::string& content);
  /// The manifest of an image with these layers and a configuration of its own.
  Blob image(const std::vector<std::string>& layers, const Json& more = Json::object());
  /// An image by its full name, and the index that it was chosen from if there is one.
  void name(const std::string& reference, const Blob& manifest,
            std::optional<Digest> index = std::nullopt);
  /// Leaves a blob out, as a differential bundle does.
  void leave_out(const Blob& blob);

  void write(const std::filesystem::path& path, const PrivateKey& key) const;

  bundle::Header header;

 private:
  std::vector<std::pair<std::string, std::string>> files_;  ///< path, content
};

}  // namespace bedplate::bundle_test

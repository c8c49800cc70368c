#include "airgap-bundle/tests/bundle_builder.hpp"

#include <algorithm>

#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/tests/fixture.hpp"

namespace bedplate::bundle_test {

Json BundleBuilder::Blob::descriptor(std::string_view media_type) const {
  return {{"mediaType", media_type}, {"digest", digest.str()}, {"size", size}};
}

BundleBuilder::Blob BundleBuilder::blob(const std::string& content) {
  const Blob out{Digest::of(content), content.size()};
  const auto path = "blobs/sha256/" + out.digest.hex();
  const auto known = std::ranges::find(files_, path, [](const auto& file) { return file.first; });
  if (known == files_.end()) files_.emplace_back(path, content);
  return out;
}

BundleBuilder::Blob BundleBuilder::image(const std::vector<std::string>& layers, const Json& more) {
  Json manifest{{"schemaVersion", 2}, {"mediaType", oci::media::manifest}};
  std::string all;
  manifest["layers"] = Json::array();
  for (const auto& layer : layers) {
    manifest["layers"].push_back(blob(layer).descriptor(oci::media::layer_tar));
    all += Digest::of(layer).hex();
  }
  const Json config{{"os", "linux"}, {"architecture", "amd64"}, {"of", all}};
  manifest["config"] = blob(config.dump()).descriptor(oci::media::config);
  manifest.update(more);
  return blob(manifest.dump());
}

void BundleBuilder::name(const std::string& reference, const Blob& manifest,
                         std::optional<Digest> index) {
  header.images.push_back(
      {reference, manifest.digest, std::string(oci::media::manifest), "", index});
}

void BundleBuilder::leave_out(const Blob& blob) {
  std::erase_if(
      files_, [&](const auto& file) { return file.first == "blobs/sha256/" + blob.digest.hex(); });
  header.elsewhere.push_back({blob.digest, blob.size});
}

void BundleBuilder::write(const std::filesystem::path& path, const PrivateKey& key) const {
  auto files = files_;
  files.emplace_back("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  files.emplace_back("index.json", R"({"schemaVersion":2,"manifests":[]})");
  auto signed_header = header;
  signed_header.name = "built";
  signed_header.version = "1";
  const auto place = [&](std::uint64_t reserved) {
    signed_header.entries.clear();
    auto at = bundle::tar_block + bundle::padded(reserved);
    for (const auto& [name, content] : files) {
      signed_header.entries.push_back(
          {name, Digest::of(content), content.size(), at + bundle::tar_block});
      at += bundle::tar_block + bundle::padded(content.size());
    }
    return bundle::to_json_text(signed_header);
  };
  const auto reserved = place(0).size() + 4096;  // offsets become longer
  auto json = place(bundle::preamble_size + reserved);
  json.resize(reserved, ' ');
  const auto first = bundle::sign_header(json, key);
  auto out = bundle::tar_header(bundle::header_name, first.size()) + first;
  out.resize(bundle::padded(out.size()));
  for (const auto& [name, content] : files) {
    out += bundle::tar_header(name, content.size()) + content;
    out.resize(bundle::padded(out.size()));
  }
  out.resize(out.size() + 2 * bundle::tar_block);
  ASSERT_OK(write_file_atomic(path, out));
}

}  // namespace bedplate::bundle_test

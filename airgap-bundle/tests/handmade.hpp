#pragma once

// For tests only: bundles with whatever is wanted in them, blobs without bytes included.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "airgap-bundle/bundle/format.hpp"
#include "core/file.hpp"
#include "core/signature.hpp"

namespace bedplate::bundle_test {

class HandmadeBundle {
 public:
  bundle::Header header;

  HandmadeBundle() {
    header.name = "handmade";
    header.version = "1";
    header.created_at = WallTime(std::chrono::seconds(1'000'000'000));
  }

  /// A blob with its bytes.
  Digest add(std::string content) {
    const auto digest = Digest::of(content);
    header.entries.push_back({"blobs/sha256/" + digest.hex(), digest, content.size(), 0});
    contents_.push_back(std::move(content));
    return digest;
  }
  /// A blob that is a hole in the file.
  void add_hole(const Digest& digest, std::uint64_t size) {
    header.entries.push_back({"blobs/sha256/" + digest.hex(), digest, size, 0});
    contents_.emplace_back();
  }
  /// A manifest under a name; what it refers to is up to the test.
  Digest add_image(const std::string& name, const std::string& text) {
    const auto digest = add(text);
    header.images.push_back(
        {name, digest, "application/vnd.oci.image.manifest.v1+json", "made by a test", {}});
    return digest;
  }

  void write(const std::filesystem::path& path, const PrivateKey& key) {
    const auto plain = [&](const std::string& name, const std::string& content) {
      header.entries.push_back({name, Digest::of(content), content.size(), 0});
      contents_.push_back(content);
    };
    plain("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    plain("index.json", R"({"schemaVersion":2,"manifests":[]})");
    // Offsets have at most 20 digits, whatever the length of the header makes of them.
    const auto room = bundle::to_json_text(header).size() + 20 * header.entries.size();
    const auto size = bundle::preamble_size + room;
    auto at = bundle::tar_block + bundle::padded(size);
    for (auto& entry : header.entries) {
      entry.offset = at + bundle::tar_block;
      at = entry.offset + bundle::padded(entry.size);
    }
    auto json = bundle::to_json_text(header);
    json.resize(room, ' ');
    const auto file = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
    ASSERT_TRUE(file);
    const auto put = [&](std::string_view text, std::uint64_t where) {
      ASSERT_TRUE(write_all_at(file->get(), as_byte_span(text), where));
    };
    put(bundle::tar_header(bundle::header_name, size), 0);
    put(bundle::sign_header(json, key), bundle::tar_block);
    for (std::size_t i = 0; i < contents_.size(); ++i) put(contents_[i], header.entries[i].offset);
    ASSERT_EQ(::ftruncate(file->get(), static_cast<off_t>(at + 2 * bundle::tar_block)), 0);
  }

 private:
  std::vector<std::string> contents_;
};

}  // namespace bedplate::bundle_test

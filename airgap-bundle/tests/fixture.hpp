#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/collect/create.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "core/file.hpp"
#include "core/signature.hpp"

namespace bedplate::bundle_test {

namespace fs = std::filesystem;

/// Ends the test with the error's text when a Result has none.
#define ASSERT_OK(result)                               \
  do {                                                  \
    const auto& asserted = (result);                    \
    ASSERT_TRUE(asserted) << asserted.error().render(); \
  } while (false)

inline void write(const fs::path& path, std::string_view content, mode_t mode = 0644) {
  fs::create_directories(path.parent_path());
  ASSERT_OK(write_file_atomic(path, content, mode));
}

/// Bytes that do not compress, the same for the same seed.
std::string noise(std::size_t size, unsigned seed);

/// A folder with a small root file system, some files, and the specification of a bundle with both.
class BundleTest : public ::testing::Test {
 protected:
  void SetUp() override;

  /// Reads `spec` and makes the bundle; fails the test when it cannot.
  void create(const fs::path& output);
  Result<bundle::Header> try_create(const fs::path& output);
  Result<bundle::Reader> open(const fs::path& path) const;
  fs::path folder() const { return folder_->path(); }
  fs::path file() const { return folder() / "site.bundle"; }

  std::optional<TemporaryDirectory> folder_;
  PrivateKey key_ = PrivateKey::generate();
  std::string spec_;
  ProcessRunner* runner_ = nullptr;  ///< without one nothing is rendered and nothing is proved
  fs::path helm_;
  std::optional<collect::Lock> lock_;
  fs::path cache_;  ///< folder of blobs; empty: none, and nothing may come by URL
};

/// A byte of the file with some of its bits turned over.
void flip(const fs::path& path, std::uint64_t offset, unsigned char bits = 1);

}  // namespace bedplate::bundle_test

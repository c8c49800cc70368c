#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"
#include "installer/plan/plan.hpp"

namespace bedplate::installer {

/// What installing asks of a bundle file; a seam for tests.
class BundleChecker {
 public:
  virtual ~BundleChecker() = default;
  /// Checks the signature and reads the header. ErrorKind::untrusted / corrupt.
  virtual Result<BundleFacts> open(const std::filesystem::path& file) = 0;
  /// Checks every byte. ErrorKind::corrupt names the blob.
  virtual Result<void> verify(const std::filesystem::path& file, Progress* progress) = 0;
};

/// The real one. ErrorKind::unsupported when this program was built without the bundle library.
std::unique_ptr<BundleChecker> make_bundle_checker(std::vector<PublicKey> trusted);

/// One "ed25519:…" per line, '#' comments. ErrorKind::untrusted when there is none.
Result<std::vector<PublicKey>> read_trusted_keys(const std::filesystem::path& path);

}  // namespace bedplate::installer

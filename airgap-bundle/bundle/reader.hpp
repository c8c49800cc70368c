#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "airgap-bundle/bundle/content.hpp"
#include "airgap-bundle/bundle/format.hpp"
#include "core/file.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::bundle {

/// A bundle file, read where it lies. Const members may be used by several threads (pread).
class Reader {
 public:
  /// Checks the signature before anything is parsed. ErrorKind::untrusted: not signed by one of
  /// `trusted`; corrupt: not a bundle, or its header or length differ from what was signed.
  /// Blobs are not read; verify() does that.
  static Result<Reader> open(const std::filesystem::path& path, std::span<const PublicKey> trusted);

  const SignedHeader& signed_header() const { return signed_; }
  const Header& header() const { return signed_.header; }
  PublicKey signer() const { return signed_.signer; }
  std::uint64_t file_size() const { return signed_.end; }
  /// Of the signed header: names this bundle and no other.
  const Digest& digest() const { return signed_.digest; }
  /// Preamble and JSON, as they were signed.
  Result<std::string> signed_content() const;
  int fd() const { return fd_.get(); }
  const std::filesystem::path& path() const { return path_; }

  /// Reads the whole file once, on all cores: every tar header, blob and padding must be as signed.
  /// ErrorKind::corrupt names the first entry that differs and its offset.
  Result<void> verify(Progress* progress) const;

  /// A small blob (manifests, configs): checked against its digest. ErrorKind::not_found.
  Result<std::string> blob(const Digest& digest, std::uint64_t limit = 8ULL << 20) const;

  /// ErrorKind::not_found for a blob that is not here; of a differential bundle, what to do.
  Error no_blob(const Digest& digest) const;

  Result<std::string> artifact_version(std::string_view artifact) const;

  /// Writes the files of a files artifact below `to`, with their modes. All of them are complete
  /// and verified before the first one appears; files that are right already are kept, others
  /// replaced. A failure leaves `to` as it was. May be killed and repeated. ErrorKind::corrupt when
  /// a path would leave `to`, or for content that is not what was signed; io when there is not room
  /// enough.
  Result<void> extract(std::string_view artifact, const std::filesystem::path& to,
                       Progress* progress) const;
  /// The same for one of its files, named as in the artifact; ErrorKind::not_found.
  Result<void> extract_file(std::string_view artifact, std::string_view name,
                            const std::filesystem::path& to) const;

 private:
  Reader() = default;
  std::filesystem::path path_;
  UniqueFd fd_;
  SignedHeader signed_;
};

}  // namespace bedplate::bundle

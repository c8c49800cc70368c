#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/bundle/format.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::bundle {

/// Fills `out` with a bundle's bytes from `offset` on, wherever they lie: in one file or in the
/// parts of a set. Called by several threads.
using ReadAt = std::function<Result<void>(std::span<std::byte> out, std::uint64_t offset)>;

/// Of an open file.
ReadAt read_from(int fd);
Result<std::string> read_text(const ReadAt& read, std::uint64_t offset, std::uint64_t size);

/// A header after its signature was checked.
struct SignedHeader {
  Header header;
  PublicKey signer;
  Digest digest;           ///< of preamble and JSON: names this bundle and no other
  std::uint64_t size = 0;  ///< of preamble and JSON
  std::uint64_t end = 0;   ///< bytes that the whole file has
};

/// `content`: preamble and JSON, and nothing else. ErrorKind::untrusted: not signed by one of
/// `trusted`; corrupt: it does not say what it must; unsupported: a later version.
Result<SignedHeader> parse_signed_header(std::string_view content,
                                         std::span<const PublicKey> trusted);
/// From the beginning of a bundle of which `available` bytes are there: also its tar header and
/// padding.
Result<SignedHeader> read_signed_header(const ReadAt& read, std::uint64_t available,
                                        std::span<const PublicKey> trusted);

/// Something that is not as it was signed.
struct Damage {
  std::string what;
  std::uint64_t begin = 0;  ///< in the bundle
  std::uint64_t end = 0;
};

/// Reads everything behind the header once, on all processors: every tar header, blob and padding
/// must be as signed. All that differs, in the order of the file; with `only_first` what was found
/// first, and the rest is not read. An error is one of reading.
Result<std::vector<Damage>> find_damage(const ReadAt& read, const SignedHeader& what,
                                        Progress* progress, bool only_first);

}  // namespace bedplate::bundle

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/digest.hpp"
#include "core/result.hpp"

// A part of a bundle that was split: docs/bundle-format.md is the specification.
namespace bedplate::bundle {

/// Bytes before the content of each part.
inline constexpr std::uint64_t part_header_size = 512;
inline constexpr std::uint32_t part_version = 1;
inline constexpr std::uint32_t most_parts = 9999;

/// How a bundle is cut: all parts but the last have the same length, so that one of them says where
/// all others begin.
struct PartLayout {
  std::uint64_t total = 0;   ///< bytes of the bundle
  std::uint64_t length = 0;  ///< bytes of content of each part but the last; whole tar blocks
  std::uint32_t count() const;
  /// Of part `number`, which counts from 1.
  std::uint64_t offset(std::uint32_t number) const;
  std::uint64_t size(std::uint32_t number) const;
  friend bool operator==(const PartLayout&, const PartLayout&) = default;
};

/// What a part says of itself. Not signed: it sorts parts and finds accidents. What the parts hold
/// together is what the bundle's own header signs.
struct PartHeader {
  std::uint32_t number = 1;  ///< from 1
  PartLayout layout;
  Digest set;      ///< of the bundle's signed header
  Digest content;  ///< of what follows

  std::uint64_t offset() const { return layout.offset(number); }
  std::uint64_t size() const { return layout.size(number); }
};

/// 512 bytes.
std::string to_bytes(const PartHeader& header);
/// ErrorKind::corrupt: not a part, or damaged; unsupported: of a later version.
Result<PartHeader> parse_part_header(std::string_view bytes);
/// Whether that is how a part begins.
bool begins_part(std::string_view bytes);

}  // namespace bedplate::bundle

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "imagebuild/tools.hpp"

namespace bedplate::image {

constexpr std::uint64_t kVerityBlock = 4096;

/// What a kernel needs to open the file: root hash and where the tree starts.
struct Verity {
  std::string root_hash;          ///< 64 lower-case hex digits
  std::uint64_t hash_offset = 0;  ///< bytes; a multiple of kVerityBlock; the data ends here
};

/// `size` rounded up to whole verity blocks.
std::uint64_t padded_size(std::uint64_t size);

/// The content of veritysetup's --root-hash-file. ErrorKind::process when it is anything else.
Result<std::string> parse_root_hash(std::string_view text);

/// Pads the file and appends its dm-verity tree (format 1, SHA-256, 4096-byte blocks). Salt and
/// UUID come from the content, so equal files give equal results. Needs no device mapper here.
Result<Verity> append_verity(const Workshop& shop, const std::filesystem::path& file);

}  // namespace bedplate::image

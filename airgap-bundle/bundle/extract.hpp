#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/bundle/reader.hpp"
#include "core/result.hpp"

namespace bedplate::bundle {

/// A path that stays below the folder it is written to: relative, no "..", no empty parts.
bool is_contained(const std::string& path);

/// What extracting an artifact would do.
struct ExtractPlan {
  std::vector<std::string> files;  ///< paths in the artifact, in its order
  std::uint64_t bytes = 0;         ///< of all files
  std::size_t here = 0;            ///< files that are as they must be already
  std::uint64_t missing = 0;       ///< bytes of the others
  std::uint64_t free = 0;          ///< bytes on the file system they would be written to
  bool enough() const { return free >= missing; }
};

/// Reads what is at `to` and writes nothing. ErrorKind::not_found when the bundle has no such
/// artifact, corrupt when a path would leave `to`.
Result<ExtractPlan> plan_extract(const Reader& reader, std::string_view artifact,
                                 const std::filesystem::path& to);

}  // namespace bedplate::bundle

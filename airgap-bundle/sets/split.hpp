#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "airgap-bundle/bundle/part.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"
#include "core/space.hpp"

namespace bedplate::sets {

struct SplitOptions {
  std::filesystem::path bundle;
  std::filesystem::path to;         ///< folder; empty: the bundle's
  std::uint64_t part_size = 0;      ///< bytes that a part's file may have
  std::vector<std::uint32_t> only;  ///< parts to write; empty: all
  /// Takes each part out of the bundle once it is on the disk, and at the end the bundle itself, so
  /// that the disk needs room for one part more and no second bundle.
  bool move = false;
};

struct SplitPlan {
  bundle::PartLayout layout;
  Digest set;
  std::vector<std::uint32_t> here;   ///< parts that are there already, whole
  std::vector<std::uint32_t> write;  ///< parts to be written
  std::vector<SpaceUse> space;
};

/// What split() would do; writes nothing. ErrorKind::usage when a part is too small for the header
/// or there would be too many; not_found when a part is neither in the bundle any more nor among
/// the files.
Result<SplitPlan> plan_split(const SplitOptions& options, std::span<const PublicKey> trusted);

/// Writes the parts "<bundle>.<number>of<count>". A part is whole when it gets its name. Parts that
/// are there and undamaged are kept, so that it may be killed at any time and called again; a
/// bundle that is being moved then is as long as what is still to be moved. ErrorKind::io before
/// anything is written when there is not room enough; conflict while another process moves it.
Result<SplitPlan> split(const SplitOptions& options, std::span<const PublicKey> trusted,
                        Progress* progress);

}  // namespace bedplate::sets

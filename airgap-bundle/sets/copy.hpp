#pragma once

#include <cstdint>
#include <functional>

#include "core/digest.hpp"
#include "core/result.hpp"

namespace bedplate::sets {

/// Copies `size` bytes between open files and returns the digest of what has arrived. The bytes go
/// through the kernel, which shares them instead where the file system can (copy_file_range), and
/// are read back from the destination, so the digest speaks of what is there. `from` bytes are
/// there already: they are read, not copied. `advanced` hears of every byte that was copied;
/// its error ends the copy.
Result<Digest> copy_range(int in, std::uint64_t in_offset, int out, std::uint64_t out_offset,
                          std::uint64_t size, std::uint64_t from,
                          const std::function<Result<void>(std::uint64_t done)>& advanced);

/// Calls `action(index)` for every index below `count`, on all processors; the first error ends
/// all.
Result<void> on_all_processors(std::size_t count,
                               const std::function<Result<void>(std::size_t)>& action);

}  // namespace bedplate::sets

#pragma once

#include <cstdint>
#include <filesystem>

#include "core/digest.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::installer {

/// SHA-256 of the first `size` bytes, read from the medium itself and not from memory (the page
/// cache of this file is dropped first).
Result<Digest> digest_prefix(const std::filesystem::path& path, std::uint64_t size,
                             Progress* progress);

/// Copies `size` bytes of a file to the beginning of a device. The first MiB comes last, after a
/// flush: a cut leaves something that nobody takes for a system. Returns the digest of what was
/// read.
Result<Digest> copy_to_device(const std::filesystem::path& from, std::uint64_t size,
                              const std::filesystem::path& device, Progress* progress);

/// Copies a whole file to an open descriptor (no sync).
Result<void> copy_to_fd(const std::filesystem::path& from, int to, Progress* progress);

}  // namespace bedplate::installer

#pragma once

#include <cstdint>
#include <filesystem>

#include "core/digest.hpp"
#include "core/process.hpp"
#include "core/site.hpp"

namespace bedplate::lab {

/// Bytes of a disk that the selector accepts: 24 GiB, or what its limits ask for.
std::uint64_t disk_size(const DiskSelector& selector);

/// An empty disk: a sparse file; an old one at `path` is replaced.
Result<void> make_disk(const std::filesystem::path& path, std::uint64_t size);

/// A disk of the same size with someone's file system on it (ext4, without a partition table),
/// which no installation may touch.
Result<void> make_decoy(const std::filesystem::path& path, std::uint64_t size,
                        ProcessRunner& runner);

/// SHA-256 over the parts of a sparse file that hold data, each with its place: changes whenever
/// anything was written, and is quick for a big disk with little on it.
Result<Digest> digest_of_data(const std::filesystem::path& path);

/// Debian's OVMF, and each machine's own copy of its variables, which is made when missing.
struct Firmware {
  std::filesystem::path code;
  std::filesystem::path variables;  ///< the pristine ones
};
Result<Firmware> find_firmware();
Result<void> copy_variables(const Firmware& firmware, const std::filesystem::path& to);

}  // namespace bedplate::lab

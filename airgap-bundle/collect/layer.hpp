#pragma once

#include <cstdint>
#include <filesystem>

#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "core/digest.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

struct Layer {
  bundle::Descriptor blob;  ///< compressed, as it lies in the bundle
  Digest diff_id;           ///< of the tar (OCI image-spec, config.md)
};

/// The folder as one zstd-compressed tar layer, written straight into the bundle. The same tree
/// gives the same bytes: sorted, owner 0, time 0, modes kept; files, folders and symbolic links,
/// the first of hard-linked files as a file and the rest as links. ErrorKind::unsupported for
/// devices and sockets.
Result<Layer> add_rootfs_layer(bundle::Writer& writer, const std::filesystem::path& rootfs,
                               Progress* progress);

/// Digest and size of that tar, without compressing or writing it.
Result<LockedContent> rootfs_content(const std::filesystem::path& rootfs);

/// Sum of the sizes of the regular files below, for progress.
std::uint64_t tree_size(const std::filesystem::path& path);

}  // namespace bedplate::collect

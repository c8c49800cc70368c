#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/closure/proof.hpp"
#include "core/process.hpp"

namespace bedplate::closure {

/// Answers from a bundle's header: by tag what carries that name, by digest what is in the file.
/// A reference with both is asked for by its digest, as containerd does. The header must outlive
/// it.
Lookup lookup_in(const bundle::Header& header);

/// What kubeadm of that version pulls, pause included. Etcd and CoreDNS may be of other versions
/// than its own: the node agent names those that the bundle has, so kubeadm is asked with the tags
/// among `images` (full references).
Result<std::vector<FoundImage>> kubeadm_images(const std::filesystem::path& kubeadm,
                                               const std::string& version,
                                               const std::vector<std::string>& images,
                                               ProcessRunner& runner);

/// The proof on a finished bundle, by what is in it alone: its charts are rendered again by its own
/// helm (`helm` when it has none), its kubeadm is asked for its images. Needs no network.
Result<Proof> prove_bundle(const bundle::Reader& reader, const std::filesystem::path& helm,
                           ProcessRunner& runner);

}  // namespace bedplate::closure

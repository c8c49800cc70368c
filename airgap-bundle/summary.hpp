#pragma once

#include <cstdint>

#include "airgap-bundle/bundle/format.hpp"
#include "airgap-bundle/closure/proof.hpp"
#include "core/json.hpp"

namespace bedplate {

/// What `--json` says of a bundle.
Json bundle_summary(const bundle::Header& header, std::uint64_t size, const PublicKey& signer);

/// What charts and kubeadm ask for and whether it is there, for people.
void print_proof(const closure::Proof& proof);

}  // namespace bedplate

#pragma once

#include <filesystem>
#include <optional>

#include "airgap-bundle/bundle/format.hpp"
#include "airgap-bundle/closure/proof.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "core/clock.hpp"
#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::collect {

struct CreateOptions {
  std::filesystem::path root;  ///< paths of the specification are relative to it
  std::filesystem::path output;
  WallTime created_at{};
  std::filesystem::path helm;  ///< to render charts with; empty: the payload's, else that in PATH
  std::optional<Lock> lock;    ///< then everything must be as it says, and nothing else is taken
  ProcessRunner* runner = nullptr;  ///< needed for charts and for the proof
};

struct Created {
  bundle::Header header;
  closure::Proof proof;
};

/// Makes the bundle that the specification describes. Either the whole bundle is at `output`
/// afterwards or nothing has changed there. The same input and time give the same bytes.
/// ErrorKind::not_found lists every image that a chart or kubeadm asks for and that is neither in
/// the bundle nor allowed to be missing; what can be known before anything is fetched is told then.
Result<Created> create_bundle(const BundleSpec& spec, const CreateOptions& options,
                              const PrivateKey& key, Progress* progress);

}  // namespace bedplate::collect

#pragma once

#include <filesystem>

#include "airgap-bundle/bundle/format.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "core/clock.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::collect {

struct CreateOptions {
  std::filesystem::path root;  ///< paths of the specification are relative to it
  std::filesystem::path output;
  WallTime created_at{};
};

/// Makes the bundle that the specification describes. Either the whole bundle is at `output`
/// afterwards or nothing has changed there. The same input and time give the same bytes.
Result<bundle::Header> create_bundle(const BundleSpec& spec, const CreateOptions& options,
                                     const PrivateKey& key, Progress* progress);

}  // namespace bedplate::collect

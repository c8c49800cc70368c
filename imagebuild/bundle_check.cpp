#include "imagebuild/bundle_check.hpp"

#include <fmt/format.h>

#include "core/file.hpp"
#ifdef BEDPLATE_HAS_bundle
#include "airgap-bundle/bundle/reader.hpp"
#endif

namespace bedplate::image {

Result<void> check_bundle(const std::filesystem::path& bundle,
                          const std::vector<PublicKey>& trusted) {
#ifdef BEDPLATE_HAS_bundle
  BP_TRY_DURING(const auto reader, fmt::format("checking {}", bundle.string()),
                bundle::Reader::open(bundle, trusted));
  (void)reader;
#else
  (void)trusted;
  BP_CHECK(open_file(bundle, 0));
#endif
  return {};
}

}  // namespace bedplate::image

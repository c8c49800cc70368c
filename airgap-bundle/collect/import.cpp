#include "airgap-bundle/collect/import.hpp"

namespace bedplate::collect {

Result<Imported> import_image(bundle::Writer&, const ImageSpec&, const std::filesystem::path&,
                              Progress*) {
  return fail(ErrorKind::unsupported, "this kind of source is not there yet",
              "use a rootfs: source");
}

}  // namespace bedplate::collect

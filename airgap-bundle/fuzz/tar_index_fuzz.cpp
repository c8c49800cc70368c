#include <fmt/format.h>
#include <sys/mman.h>

#include "airgap-bundle/fuzz/targets.hpp"
#include "airgap-bundle/oci/tar_index.hpp"
#include "core/file.hpp"

namespace bedplate::fuzz {

void tar_index(std::string_view input) {
  const UniqueFd fd(::memfd_create("archive", MFD_CLOEXEC));
  require(fd && write_all(fd.get(), as_byte_span(input)), "there is a file to read");
  const auto index = oci::TarIndex::read(fmt::format("/proc/self/fd/{}", fd.get()));
  if (!index) return;
  for (const auto* path :
       {"index.json", "manifest.json", "a", "b", "a/b", "a/../b", "/", "", "."}) {
    const auto member = index->find(path);
    if (!member) continue;
    require(member->offset <= input.size() && member->size <= input.size() - member->offset,
            "a member lies inside the archive");
  }
}

}  // namespace bedplate::fuzz

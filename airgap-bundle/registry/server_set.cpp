#include "airgap-bundle/registry/server_set.hpp"

#include <algorithm>
#include <system_error>

#include "airgap-bundle/bundle/trust.hpp"

namespace bedplate::registry {
namespace {

Result<std::vector<std::filesystem::path>> paths_of(const BundleSource& source) {
  std::vector<std::filesystem::path> out(source.files.begin(), source.files.end());
  if (!source.folder.empty()) {
    std::vector<std::filesystem::path> found;
    std::error_code code;
    for (std::filesystem::directory_iterator it(source.folder, code), end; !code && it != end;
         it.increment(code)) {
      if (it->path().extension() == ".bundle") found.push_back(it->path());
    }
    if (code) return fail(system_error(code.value(), "cannot list " + source.folder));
    std::ranges::sort(found);
    out.insert(out.end(), found.begin(), found.end());
  }
  if (!out.empty()) return out;
  return fail(ErrorKind::not_found, "there is no bundle to serve",
              source.folder.empty()
                  ? "name one with --bundle"
                  : "put bundles into " + source.folder + "; only files that end in .bundle count");
}

Result<std::shared_ptr<const BundleRegistry>> open_registry(const BundleSource& source) {
  BP_TRY(const auto keys, bundle::read_trust(source.trust));
  BP_TRY(const auto paths, paths_of(source));
  Readers readers;
  for (const auto& path : paths) {
    BP_TRY(auto reader, bundle::Reader::open(path, keys));
    readers.push_back(std::make_shared<const bundle::Reader>(std::move(reader)));
  }
  BP_TRY(auto registry, BundleRegistry::create(std::move(readers)));
  return std::make_shared<const BundleRegistry>(std::move(registry));
}

}  // namespace

Result<std::unique_ptr<ServedSet>> ServedSet::open(BundleSource source) {
  std::unique_ptr<ServedSet> set(new ServedSet(std::move(source)));
  BP_CHECK(set->reload());
  return set;
}

Result<void> ServedSet::reload() {
  BP_TRY(auto registry, open_registry(source_));
  registry_.store(std::move(registry));
  return {};
}

}  // namespace bedplate::registry

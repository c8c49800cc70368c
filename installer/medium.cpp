#include "installer/medium.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/json.hpp"

namespace bedplate::installer {

Result<Medium> read_medium(const std::filesystem::path& mount,
                           const std::vector<PublicKey>& trusted, BundleChecker& bundles) {
  const auto folder = mount / "bedplate";
  std::error_code code;
  if (!std::filesystem::exists(folder / "site.yaml", code)) {
    return fail(ErrorKind::not_found,
                fmt::format("there is no Bedplate medium at {}", mount.string()),
                "plug the medium in again and restart, or name its folder with --medium");
  }
  BP_TRY_DURING(auto site, "reading the medium's site file", read_site(folder / "site.yaml"));
  for (const auto& key : site.trust.bundle_keys) {
    if (std::ranges::find(trusted, key) == trusted.end()) {
      return fail(ErrorKind::untrusted,
                  fmt::format("the medium's site file names bundle key {}, which this system does "
                              "not accept",
                              key.fingerprint()),
                  "make the medium again with: bedplate image iso");
    }
  }
  BP_TRY(const auto json, read_json(folder / "system.json"));
  BP_TRY_DURING(auto system, "reading system.json", system_facts_from_json(json));
  BP_TRY(auto bundle, bundles.open(folder / "site.bundle"));
  return Medium{folder, std::move(site), std::move(system), std::move(bundle)};
}

}  // namespace bedplate::installer

#include "airgap-bundle/supply/pattern.hpp"

#include <vector>

namespace bedplate::supply {
namespace {

/// One row of the table "pattern up to here matches the text up to there": no backtracking, so that
/// no pattern takes long.
bool matches(std::string_view pattern, std::string_view text) {
  std::vector<char> row(text.size() + 1, 0);
  row[0] = 1;
  for (std::size_t p = 0; p < pattern.size(); ++p) {
    std::vector<char> next(text.size() + 1, 0);
    const bool star = pattern[p] == '*';
    const bool any = star && p + 1 < pattern.size() && pattern[p + 1] == '*';
    if (any) ++p;
    for (std::size_t t = 0; t <= text.size(); ++t) {
      if (star) {
        const bool longer = t > 0 && next[t - 1] != 0 && (any || text[t - 1] != '/');
        next[t] = static_cast<char>(row[t] != 0 || longer);
      } else {
        next[t] = static_cast<char>(t > 0 && row[t - 1] != 0 && pattern[p] == text[t - 1]);
      }
    }
    row = std::move(next);
  }
  return row.back() != 0;
}

}  // namespace

bool means(std::string_view pattern, const oci::Reference& image) {
  const auto fits = [&](const std::string& repository) {
    return matches(pattern, repository) || matches(pattern, repository + ":" + image.tag);
  };
  if (fits(image.registry + "/" + image.repository)) return true;
  if (image.registry != oci::docker_hub) return false;
  // As people write it: Docker Hub has two names, and its own images need no folder.
  constexpr std::string_view own = "library/";
  auto name = image.repository;
  const auto of_old = std::string(oci::docker_hub_of_old) + "/";
  if (fits(of_old + name)) return true;
  if (!name.starts_with(own)) return false;
  name.erase(0, own.size());
  return fits(image.registry + "/" + name) || fits(of_old + name);
}

}  // namespace bedplate::supply

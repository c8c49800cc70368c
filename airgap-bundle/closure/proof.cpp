#include "airgap-bundle/closure/proof.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace bedplate::closure {
namespace {

constexpr std::size_t most_places = 5;

Json need_json(const Need& need) {
  return {{"image", need.image.str()},
          {"where", need.where},
          {"certainty", need.certainty == Certainty::field ? "field" : "text"}};
}

std::vector<Need> gather(const std::vector<FoundImage>& found) {
  std::map<std::string, Need> needs;
  for (const auto& item : found) {
    auto& need =
        needs.try_emplace(item.image.str(), Need{item.image, {}, item.certainty}).first->second;
    if (item.certainty == Certainty::field) need.certainty = Certainty::field;
    if (std::ranges::find(need.where, item.where) == need.where.end()) {
      need.where.push_back(item.where);
    }
  }
  std::vector<Need> out;
  for (auto& [name, need] : needs) out.push_back(std::move(need));
  return out;
}

}  // namespace

Proof prove(const std::vector<FoundImage>& found, const std::vector<AllowedMissing>& allowed,
            const Lookup& lookup) {
  Proof proof;
  std::vector<bool> used(allowed.size(), false);
  for (auto& need : gather(found)) {
    const auto permit = std::ranges::find(allowed, need.image, &AllowedMissing::image);
    if (permit != allowed.end()) {
      used[static_cast<std::size_t>(permit - allowed.begin())] = true;
    }
    if (auto digest = lookup(need.image); !digest.empty()) {
      proof.present.push_back({std::move(need), std::move(digest)});
    } else if (permit != allowed.end()) {
      proof.allowed.push_back({std::move(need), permit->reason});
    } else {
      proof.missing.push_back(std::move(need));
    }
  }
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    if (!used[i]) proof.unused.push_back(allowed[i].image.str());
  }
  std::ranges::sort(proof.unused);
  return proof;
}

std::string missing_text(const Proof& proof) {
  std::string out;
  for (const auto& need : proof.missing) {
    out += fmt::format("  {}\n", need.image.str());
    for (std::size_t i = 0; i < std::min(need.where.size(), most_places); ++i) {
      out += fmt::format("    in {}\n", need.where[i]);
    }
    if (need.where.size() > most_places) {
      out += fmt::format("    and {} places more\n", need.where.size() - most_places);
    }
  }
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

Json to_json(const Proof& proof) {
  Json out{{"closed", proof.closed()},
           {"present", Json::array()},
           {"allowed", Json::array()},
           {"missing", Json::array()},
           {"unusedAllowances", proof.unused}};
  for (const auto& item : proof.present) {
    out["present"].push_back(need_json(item.need));
    out["present"].back()["digest"] = item.digest;
  }
  for (const auto& item : proof.allowed) {
    out["allowed"].push_back(need_json(item.need));
    out["allowed"].back()["reason"] = item.reason;
  }
  for (const auto& need : proof.missing) out["missing"].push_back(need_json(need));
  return out;
}

}  // namespace bedplate::closure

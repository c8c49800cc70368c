#include "airgap-bundle/summary.hpp"

#include <fmt/format.h>

namespace bedplate {

Json bundle_summary(const bundle::Header& header, std::uint64_t size, const PublicKey& signer) {
  Json out = parse_json(bundle::to_json_text(header), "header").value_or(Json::object());
  out["size"] = size;
  out["signer"] = signer.str();
  out["fingerprint"] = signer.fingerprint();
  return out;
}

void print_proof(const closure::Proof& proof) {
  fmt::print(
      "asked for by charts and kubeadm: {} images here, {} allowed to be missing, {} missing\n",
      proof.present.size(), proof.allowed.size(), proof.missing.size());
  for (const auto& item : proof.allowed) {
    fmt::print("  not here: {} ({})\n", item.need.image.str(), item.reason);
  }
  for (const auto& name : proof.unused) {
    fmt::print("  allowed to be missing, but nothing asks for it: {}\n", name);
  }
}

}  // namespace bedplate

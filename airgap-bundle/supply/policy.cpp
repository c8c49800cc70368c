#include "airgap-bundle/supply/policy.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "airgap-bundle/supply/pattern.hpp"
#include "core/file.hpp"

namespace bedplate::supply {
namespace {

constexpr std::uint64_t longest_key = 64 << 10;

/// Docker Hub has two names; cosign writes the older one.
std::string usual(const std::string& text) {
  const auto older = std::string(oci::docker_hub_of_old) + "/";
  if (!text.starts_with(older)) return text;
  return fmt::format("{}/{}", oci::docker_hub, text.substr(older.size()));
}

/// Whether the signer meant this image: its repository, and its tag if the signer named one.
bool names(const std::string& signed_name, const oci::Reference& image) {
  const auto repository = image.registry + "/" + image.repository;
  const auto text = usual(signed_name);
  return text == repository || (!image.tag.empty() && text == repository + ":" + image.tag);
}

/// Why a claim does not count for the rule's purpose; empty when it does.
std::string objection(const Claim& claim, const std::string& predicate, const SignedImage& image) {
  if (claim.predicate != predicate) {
    return claim.predicate.empty() ? "is a signature, not an attestation"
                                   : "is an attestation of type " + claim.predicate;
  }
  const auto known = [&](const Digest& digest) {
    return digest == image.index ||
           std::ranges::find(image.manifests, digest) != image.manifests.end();
  };
  if (std::ranges::none_of(claim.subjects, known)) {
    return claim.subjects.empty() ? "is about nothing"
                                  : "is for another image, " + claim.subjects.front().str();
  }
  if (claim.repository.empty() || names(claim.repository, image.name) ||
      (image.source && names(claim.repository, *image.source))) {
    return {};
  }
  return "is for the repository " + claim.repository;
}

bool covered(const SignedImage& image, const std::set<Digest>& subjects) {
  if (image.index && subjects.contains(*image.index)) return true;
  return std::ranges::all_of(image.manifests,
                             [&](const Digest& digest) { return subjects.contains(digest); });
}

}  // namespace

Result<Policy> Policy::read(const collect::BundleSpec& spec, const std::filesystem::path& root) {
  Policy out;
  for (const auto& item : spec.policy) {
    Rule rule{item.images, {}, item.attestation, fmt::format("{}:{}", spec.file, item.line)};
    for (const auto& path : item.keys) {
      const auto doing = fmt::format("reading the policy's keys ({})", rule.where);
      BP_TRY_DURING(const auto pem, doing, read_file(root / path, longest_key));
      BP_TRY_DURING(auto key, doing, VerificationKey::from_pem(pem, path));
      rule.keys.push_back(std::move(key));
    }
    out.rules_.push_back(std::move(rule));
  }
  return out;
}

bool Policy::concerns(const oci::Reference& image) const {
  return std::ranges::any_of(rules_, [&](const Rule& rule) { return means(rule.pattern, image); });
}

Result<void> Policy::apply(const Rule& rule, const SignedImage& image) {
  std::set<Digest> subjects;
  std::string reasons;
  for (const auto& document : image.documents) {
    const auto claim = verify(document, rule.keys, image.texts);
    const auto why = claim ? objection(*claim, rule.predicate, image) : claim.error().what;
    if (why.empty()) {
      subjects.insert(claim->subjects.begin(), claim->subjects.end());
    } else {
      reasons += fmt::format("\n    {}: {}", document.where, why);
    }
  }
  if (covered(image, subjects)) return {};
  if (!subjects.empty()) reasons += "\n    not every platform of it is signed";
  if (image.documents.empty()) reasons = "\n    nothing signed hangs on it";
  std::string keys;
  for (const auto& key : rule.keys) keys += (keys.empty() ? "" : ", ") + key.label();
  const auto wanted = rule.predicate.empty() ? std::string("a valid signature")
                                             : "a valid attestation of type " + rule.predicate;
  return fail(ErrorKind::untrusted,
              fmt::format("{} ({}) does not have {}, which the policy for {} asks for ({}); keys "
                          "tried: {}{}",
                          image.name.str(), image.index.value_or(image.manifests.front()).str(),
                          wanted, rule.pattern, rule.where, keys, reasons),
              "have it signed by one of these keys, or correct the policy there");
}

Result<void> Policy::check(const SignedImage& image) const {
  std::optional<Error> first;
  for (const auto& rule : rules_) {
    if (!means(rule.pattern, image.name)) continue;
    auto done = apply(rule, image);
    if (done) continue;
    if (first) {
      first->what += "\n" + done.error().what;
    } else {
      first = std::move(done).error();
    }
  }
  if (first) return fail(std::move(*first));
  return {};
}

}  // namespace bedplate::supply

#include "airgap-bundle/push/plan.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "core/json.hpp"

namespace bedplate::push {
namespace {

/// An index may name indexes; nobody stacks more.
constexpr int deepest_index = 4;

/// Makes the items of a plan, one manifest after the other.
class Layout {
 public:
  Layout(const bundle::Reader& reader, const Target& target) : reader_(reader), target_(target) {}

  Result<Plan> run() {
    const auto& header = reader_.header();
    for (const auto& image : header.images) {
      BP_CHECK_DURING("looking at image " + image.name, add_image(image));
    }
    for (const auto& chart : header.charts) {
      add_artifact(Kind::chart, chart.name, target_.chart(chart.name, chart.version), chart.digest);
    }
    for (const auto& item : header.artifacts) {
      add_artifact(Kind::artifact, item.name, target_.artifact(item.name, item.version),
                   item.digest);
    }
    for (const auto& referrer : header.referrers) add_lone_referrer(referrer);
    BP_CHECK(check_names());
    return std::move(plan_);
  }

 private:
  using Referrer = bundle::ReferrerEntry;

  Result<void> add_image(const bundle::ImageEntry& image) {
    BP_TRY(const auto name, oci::Reference::parse(image.name));
    ItemPlan item{Kind::image, image.name, target_.image(name), image.digest, {}, {}};
    const auto& tag = item.target.tag;
    // What is named by the index or by a referrer must be there before them, and the tag last.
    std::set<Digest> subjects{image.digest};
    if (image.index) subjects.insert(*image.index);
    const auto referrers = referrers_of(name.registry + "/" + name.repository, subjects);
    const bool by_digest = tag.empty() || image.index || !referrers.empty();
    add(item, Role::content, image.digest, image.media_type, by_digest ? image.digest.str() : tag);
    if (image.index) add_index(item, *image.index);
    for (const auto* referrer : referrers) add_referrer(item, *referrer);
    if (by_digest && !tag.empty()) {
      auto last = *std::ranges::find(item.manifests, image.digest, &ManifestPlan::digest);
      last.reference = tag;
      item.manifests.push_back(std::move(last));
    }
    plan_.items.push_back(std::move(item));
    return {};
  }

  void add_artifact(Kind kind, const std::string& name, oci::Reference target,
                    const Digest& digest) {
    ItemPlan item{kind, name, std::move(target), digest, {}, {}};
    add(item, Role::content, digest, std::string(oci::media::manifest), item.target.tag);
    plan_.items.push_back(std::move(item));
  }

  void add_index(ItemPlan& item, const Digest& digest) {
    std::string type(oci::media::index);
    if (const auto content = reader_.blob(digest)) {
      type = oci::manifest_media_type(*content, type).value_or(type);
    }
    add(item, Role::index, digest, type, digest.str());
  }

  /// Those of the subjects, and those that are about these in turn; each belongs to the first item.
  std::vector<const Referrer*> referrers_of(const std::string& repository,
                                            std::set<Digest> subjects) {
    std::vector<const Referrer*> out;
    for (bool more = true; more;) {
      more = false;
      for (const auto& referrer : reader_.header().referrers) {
        if (referrer.repository != repository || !subjects.contains(referrer.subject)) continue;
        if (!taken_.insert(&referrer).second) continue;
        subjects.insert(referrer.digest);
        out.push_back(&referrer);
        more = true;
      }
    }
    return out;
  }

  void add_referrer(ItemPlan& item, const Referrer& referrer) {
    const auto before = item.manifests.size();
    add(item, Role::referrer, referrer.digest, referrer.media_type,
        referrer.tag.empty() ? referrer.digest.str() : referrer.tag);
    // Whatever hangs below it fails without the image, as it does.
    for (auto i = before; i < item.manifests.size(); ++i) item.manifests[i].role = Role::referrer;
  }

  void add_lone_referrer(const Referrer& referrer) {
    if (taken_.contains(&referrer)) return;
    ItemPlan item{
        Kind::referrer,
        fmt::format("{}@{}", referrer.repository, referrer.digest.str()),
        {target_.registry, target_.repository(referrer.repository), referrer.tag, referrer.digest},
        referrer.digest,
        {},
        {}};
    add_referrer(item, referrer);
    plan_.items.push_back(std::move(item));
  }

  /// The manifest with all below it, children first.
  void add(ItemPlan& item, Role role, const Digest& digest, const std::string& type,
           const std::string& reference, int depth = 0) {
    ManifestPlan manifest;
    manifest.role = role;
    manifest.digest = digest;
    manifest.media_type = type;
    manifest.reference = reference;
    if (reader_.header().find(digest) == nullptr) {
      manifest.absent_here = true;
    } else if (auto read = read_manifest(item, manifest, depth); !read) {
      item.error = std::move(read).error().during("reading manifest " + digest.str());
    }
    item.manifests.push_back(std::move(manifest));
  }

  Result<void> read_manifest(ItemPlan& item, ManifestPlan& manifest, int depth) {
    BP_TRY(const auto text, reader_.blob(manifest.digest));
    BP_TRY(const auto value, parse_json(text, "the manifest"));
    if (const auto subject = value.find("subject"); subject != value.end()) {
      BP_TRY(const auto descriptor, oci::parse_descriptor(*subject));
      manifest.subject = descriptor.digest;
    }
    if (!oci::is_index(manifest.media_type)) {
      BP_TRY(const auto parsed, oci::parse_manifest(text));
      add_place(item, manifest, parsed.config);
      for (const auto& layer : parsed.layers) add_place(item, manifest, layer);
      return {};
    }
    const auto children = value.find("manifests");
    if (children == value.end() || !children->is_array() || depth >= deepest_index) {
      return fail(ErrorKind::invalid, "the index has no list of manifests, or is too deep");
    }
    for (const auto& entry : *children) {
      BP_TRY(const auto child, oci::parse_descriptor(entry));
      if (reader_.header().find(child.digest) == nullptr && !is_elsewhere(child.digest)) {
        manifest.sparse = true;
      } else if (std::ranges::find(item.manifests, child.digest, &ManifestPlan::digest) ==
                 item.manifests.end()) {
        add(item, Role::child, child.digest, child.media_type, child.digest.str(), depth + 1);
      }
    }
    return {};
  }

  bool is_elsewhere(const Digest& digest) const {
    const auto& list = reader_.header().elsewhere;
    return std::ranges::find(list, digest, &bundle::ElsewhereEntry::digest) != list.end();
  }

  void add_place(const ItemPlan& item, ManifestPlan& manifest, const oci::Descriptor& blob) {
    const auto [known, is_new] = blobs_.try_emplace(blob.digest, plan_.blobs.size());
    if (is_new) {
      plan_.blobs.push_back({blob.digest, blob.size, reader_.header().find(blob.digest), {}});
    }
    const auto key = std::pair(item.target.repository, blob.digest);
    const auto [place, is_new_place] = places_.try_emplace(key, plan_.places.size());
    if (is_new_place) {
      plan_.places.push_back({known->second, item.target.repository, false, false, {}});
      plan_.blobs[known->second].places.push_back(place->second);
    }
    if (std::ranges::find(manifest.places, place->second) == manifest.places.end()) {
      manifest.places.push_back(place->second);
    }
  }

  Result<void> check_names() const {
    std::map<std::string, const ItemPlan*> names;
    for (const auto& item : plan_.items) {
      if (item.target.tag.empty()) continue;
      const auto name = item.target.repository + ":" + item.target.tag;
      const auto [other, is_new] = names.try_emplace(name, &item);
      if (is_new || other->second->digest == item.digest) continue;
      return fail(ErrorKind::conflict,
                  fmt::format("{} and {} would both become {}/{}", other->second->name, item.name,
                              target_.registry, name),
                  "keep them apart by their registries' names: --keep-registry");
    }
    return {};
  }

  const bundle::Reader& reader_;
  const Target& target_;
  Plan plan_;
  std::map<Digest, std::size_t> blobs_;
  std::map<std::pair<std::string, Digest>, std::size_t> places_;
  std::set<const Referrer*> taken_;
};

}  // namespace

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::image:
      return "image";
    case Kind::chart:
      return "chart";
    case Kind::artifact:
      return "artifact";
    case Kind::referrer:
      return "referrer";
  }
  return "";
}

bool Plan::complete(const ItemPlan& item) {
  return !item.error && std::ranges::all_of(item.manifests, &ManifestPlan::present);
}

bool Plan::is_sent(const BlobPlan& blob) const {
  const auto at = [&](std::size_t i) -> const Place& { return places[i]; };
  return blob.source != nullptr && std::ranges::any_of(blob.places, &Place::needed, at) &&
         std::ranges::none_of(blob.places, &Place::present, at);
}

std::uint64_t Plan::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& blob : blobs) sum += is_sent(blob) ? blob.size : 0;
  return sum;
}

Result<Plan> lay_out(const bundle::Reader& reader, const Target& target) {
  return Layout(reader, target).run();
}

}  // namespace bedplate::push

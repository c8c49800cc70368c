#include "airgap-bundle/collect/lock.hpp"

#include <fmt/format.h>

#include "airgap-bundle/collect/charts.hpp"
#include "airgap-bundle/collect/fetch.hpp"
#include "airgap-bundle/collect/files.hpp"
#include "airgap-bundle/collect/import.hpp"
#include "airgap-bundle/collect/layer.hpp"
#include "airgap-bundle/collect/rate.hpp"
#include "airgap-bundle/collect/reuse.hpp"
#include "airgap-bundle/supply/policy.hpp"
#include "core/clock.hpp"
#include "core/json.hpp"

namespace bedplate::collect {
namespace {

constexpr std::string_view again = "run `bedplate bundle resolve`, and review what has changed";

Json contents_json(const std::map<std::string, LockedContent>& contents) {
  Json out = Json::object();
  for (const auto& [name, content] : contents) {
    out[name] = {{"digest", content.digest.str()}, {"size", content.size}};
  }
  return out;
}

Result<Digest> digest_of(const Json& object, std::string_view key) {
  BP_TRY(const auto text, json_string(object, key));
  return Digest::parse(text);
}

Result<std::map<std::string, LockedContent>> parse_contents(const Json& root,
                                                            std::string_view key) {
  std::map<std::string, LockedContent> out;
  const auto found = root.find(key);
  if (found == root.end() || !found->is_object()) {
    return fail(ErrorKind::invalid, fmt::format("'{}' must be a map", key));
  }
  for (const auto& [name, value] : found->items()) {
    LockedContent content;
    BP_TRY_DURING(content.digest, "reading " + name, digest_of(value, "digest"));
    BP_TRY_DURING(content.size, "reading " + name, json_uint(value, "size"));
    out[name] = content;
  }
  return out;
}

Json referrers_json(const std::vector<ReferrerKey>& referrers) {
  Json out = Json::array();
  for (const auto& key : referrers) {
    out.push_back({{"subject", key.subject.str()}, {"digest", key.digest.str()}});
    if (!key.tag.empty()) out.back()["tag"] = key.tag;
  }
  return out;
}

/// Absent: nothing refers to the image.
Result<std::vector<ReferrerKey>> parse_referrers(const Json& image) {
  std::vector<ReferrerKey> out;
  const auto found = image.find("referrers");
  if (found == image.end()) return out;
  if (!found->is_array()) return fail(ErrorKind::invalid, "'referrers' must be a list");
  for (const auto& item : *found) {
    ReferrerKey key;
    BP_TRY(key.subject, digest_of(item, "subject"));
    BP_TRY(key.digest, digest_of(item, "digest"));
    key.tag = json_string_or(item, "tag", "");
    out.push_back(std::move(key));
  }
  return out;
}

Result<Lock> parse_checked(const Json& root) {
  if (json_string_or(root, "kind", "") != "BundleLock") {
    return fail(ErrorKind::invalid, "this is not a bundle's lock");
  }
  Lock lock;
  const auto images = root.find("images");
  if (images == root.end() || !images->is_object()) {
    return fail(ErrorKind::invalid, "'images' must be a map");
  }
  for (const auto& [name, value] : images->items()) {
    LockedImage image;
    BP_TRY_DURING(image.digest, "reading " + name, digest_of(value, "digest"));
    BP_TRY_DURING(image.manifest, "reading " + name, digest_of(value, "manifest"));
    BP_TRY_DURING(image.size, "reading " + name, json_uint(value, "size"));
    BP_TRY_DURING(image.referrers, "reading " + name, parse_referrers(value));
    lock.images[name] = std::move(image);
  }
  BP_TRY(lock.trees, parse_contents(root, "trees"));
  BP_TRY(lock.files, parse_contents(root, "files"));
  BP_TRY(lock.charts, parse_contents(root, "charts"));
  // Locks of before there were packages have none.
  const auto packages = root.find("packages");
  if (packages == root.end()) return lock;
  if (!packages->is_object()) return fail(ErrorKind::invalid, "'packages' must be a map");
  for (const auto& [name, value] : packages->items()) {
    BP_TRY_DURING(lock.packages[name], "reading " + name, parse_packages_json(value));
  }
  return lock;
}

std::unexpected<Error> changed(const std::string& name, const Digest& now, const Digest& locked) {
  return fail(ErrorKind::corrupt,
              fmt::format("{} is {} now, and {} in the lock", name, now.str(), locked.str()),
              std::string(again));
}

std::unexpected<Error> unknown(const std::string& name) {
  return fail(ErrorKind::not_found, fmt::format("the lock has no {}", name), std::string(again));
}

Result<LockedContent> content_of(const std::filesystem::path& path) {
  BP_TRY(const auto digest, digest_file(path));
  std::error_code code;
  const auto size = std::filesystem::file_size(path, code);
  return LockedContent{digest, size};
}

Result<void> resolve_one(const ImageSpec& image, const Sources& sources, HttpClient& http,
                         Lock& lock, std::vector<std::string>& notes) {
  const auto name = image.name.str();
  const auto path = sources.root / image.source.location;
  if (image.source.kind == SourceKind::rootfs) {
    BP_TRY(lock.trees[name], rootfs_content(path));
  } else if (image.source.kind == SourceKind::docker_archive) {
    BP_TRY(lock.files[name], content_of(path));
  } else {
    BP_TRY(lock.images[name], resolve_image(image, sources, http, notes));
  }
  return {};
}

}  // namespace

std::string Lock::to_text() const {
  Json list = Json::object();
  for (const auto& [name, image] : images) {
    list[name] = {
        {"digest", image.digest.str()}, {"manifest", image.manifest.str()}, {"size", image.size}};
    if (!image.referrers.empty()) list[name]["referrers"] = referrers_json(image.referrers);
  }
  Json out{{"kind", "BundleLock"},
           {"images", std::move(list)},
           {"trees", contents_json(trees)},
           {"files", contents_json(files)},
           {"charts", contents_json(charts)}};
  for (const auto& [name, content] : packages) out["packages"][name] = packages_json(content);
  return out.dump(2) + "\n";
}

Result<Lock> Lock::parse(std::string_view text, std::string_view file_name) {
  const auto doing = fmt::format("reading the lock {}", file_name);
  BP_TRY_DURING(const auto root, doing, parse_json(text, file_name));
  auto lock = parse_checked(root);
  if (!lock) {
    lock.error().kind = ErrorKind::invalid;
    return fail(std::move(lock).error().during(doing));
  }
  return lock;
}

Result<void> Lock::check(const std::map<std::string, LockedContent>& locked,
                         const std::string& name, const Digest& digest) {
  const auto found = locked.find(name);
  if (found == locked.end()) return unknown(name);
  if (found->second.digest == digest) return {};
  return changed(name, digest, found->second.digest);
}

Result<LockedPackages> Lock::locked_packages(const std::string& name, const Json& asked) const {
  const auto found = packages.find(name);
  if (found == packages.end()) return unknown(name);
  if (found->second.asked == asked) return found->second;
  return fail(ErrorKind::conflict,
              fmt::format("{} is {} in the specification, and was {} when it was locked", name,
                          asked.dump(), found->second.asked.dump()),
              std::string(again));
}

Result<void> Lock::check_image(const std::string& name, const Digest& digest,
                               const Digest& manifest) const {
  const auto found = images.find(name);
  if (found == images.end()) return unknown(name);
  if (found->second.digest != digest) return changed(name, digest, found->second.digest);
  if (found->second.manifest != manifest) return changed(name, manifest, found->second.manifest);
  return {};
}

Result<Lock> resolve(const BundleSpec& spec, const std::filesystem::path& root,
                     const std::filesystem::path& helm, ProcessRunner& runner, Progress* progress,
                     const Fetching& fetching) {
  Lock lock;
  if (progress != nullptr) progress->begin("resolve", 0);
  registry::Access access(runner);
  BP_CHECK(configure(access, spec, root));
  BP_TRY(const auto policy, supply::Policy::read(spec, root));
  const Sources sources{root, access, spec.file, &policy};
  const auto http = make_http_client();
  std::vector<Error> errors;
  std::vector<std::string> notes;
  for (const auto& image : spec.images) {
    if (progress != nullptr) progress->begin("resolve " + image.name.str(), 0);
    if (auto done = resolve_one(image, sources, *http, lock, notes); !done) {
      errors.push_back(std::move(done).error().during(
          fmt::format("resolving image {} ({}:{})", image.name.str(), spec.file, image.line)));
    }
  }
  if (!errors.empty()) return fail(summarize(std::move(errors), spec.images.size()));
  for (const auto& note : notes) {
    if (progress != nullptr) progress->note(note);
  }
  BP_TRY(auto files, ArtifactFiles::expand(spec, root));
  SystemClock clock;
  RateLimit rate(fetching.limit_rate, clock);
  const Downloads downloads(fetching.cache.empty() ? default_blob_cache() : fetching.cache, rate,
                            clock, progress);
  BP_CHECK(files.fetch(files.missing(false), downloads, fetching.workers));
  for (std::size_t i = 0; i < spec.files.size(); ++i) {
    for (const auto& file : files.of(i)) {
      BP_TRY(lock.files[spec.files[i].name + "/" + file.name], content_of(file.path));
    }
  }
  for (const auto& packages : spec.packages) {
    const auto name = artifact_name(packages);
    BP_TRY_DURING(lock.packages[name],
                  fmt::format("resolving {} ({}:{})", name, spec.file, packages.line),
                  solve_packages(packages, root, runner, progress));
  }
  if (!spec.charts.empty()) {
    BP_TRY(const auto program, choose_helm(helm, files));
    BP_TRY(const auto charts,
           Charts::collect(spec.charts, root, program, files.payload_version(), runner));
    lock.charts = charts.contents();
  }
  if (progress != nullptr) progress->end();
  return lock;
}

}  // namespace bedplate::collect

#include "airgap-bundle/collect/lock.hpp"

#include <fmt/format.h>

#include "airgap-bundle/collect/charts.hpp"
#include "airgap-bundle/collect/files.hpp"
#include "airgap-bundle/collect/import.hpp"
#include "airgap-bundle/collect/layer.hpp"
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
    lock.images[name] = image;
  }
  BP_TRY(lock.trees, parse_contents(root, "trees"));
  BP_TRY(lock.files, parse_contents(root, "files"));
  BP_TRY(lock.charts, parse_contents(root, "charts"));
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

Result<void> resolve_one(const ImageSpec& image, const std::filesystem::path& root, Lock& lock) {
  const auto name = image.name.str();
  const auto path = root / image.source.location;
  if (image.source.kind == SourceKind::rootfs) {
    BP_TRY(lock.trees[name], rootfs_content(path));
  } else if (image.source.kind == SourceKind::docker_archive) {
    BP_TRY(lock.files[name], content_of(path));
  } else {
    BP_TRY(lock.images[name], resolve_image(image, root));
  }
  return {};
}

}  // namespace

std::string Lock::to_text() const {
  Json list = Json::object();
  for (const auto& [name, image] : images) {
    list[name] = {
        {"digest", image.digest.str()}, {"manifest", image.manifest.str()}, {"size", image.size}};
  }
  return Json{{"kind", "BundleLock"},
              {"images", std::move(list)},
              {"trees", contents_json(trees)},
              {"files", contents_json(files)},
              {"charts", contents_json(charts)}}
             .dump(2) +
         "\n";
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

Result<void> Lock::check_image(const std::string& name, const Digest& digest,
                               const Digest& manifest) const {
  const auto found = images.find(name);
  if (found == images.end()) return unknown(name);
  if (found->second.digest != digest) return changed(name, digest, found->second.digest);
  if (found->second.manifest != manifest) return changed(name, manifest, found->second.manifest);
  return {};
}

Result<Lock> resolve(const BundleSpec& spec, const std::filesystem::path& root,
                     const std::filesystem::path& helm, ProcessRunner& runner, Progress* progress) {
  Lock lock;
  if (progress != nullptr) progress->begin("resolve", 0);
  for (const auto& image : spec.images) {
    if (progress != nullptr) progress->begin("resolve " + image.name.str(), 0);
    BP_CHECK_DURING(
        fmt::format("resolving image {} ({}:{})", image.name.str(), spec.file, image.line),
        resolve_one(image, root, lock));
  }
  BP_TRY(const auto files, ArtifactFiles::expand(spec, root));
  for (std::size_t i = 0; i < spec.files.size(); ++i) {
    for (const auto& file : files.of(i)) {
      BP_TRY(lock.files[spec.files[i].name + "/" + file.name], content_of(file.path));
    }
  }
  if (!spec.charts.empty()) {
    BP_TRY(const auto program, choose_helm(helm, files));
    BP_TRY(const auto charts,
           Charts::collect(spec.charts, root, program, files.payload_version(), runner));
    BP_TRY(lock.charts, charts.contents());
  }
  if (progress != nullptr) progress->end();
  return lock;
}

}  // namespace bedplate::collect

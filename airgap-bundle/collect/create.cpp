#include "airgap-bundle/collect/create.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/closure/bundle_proof.hpp"
#include "airgap-bundle/collect/charts.hpp"
#include "airgap-bundle/collect/compress.hpp"
#include "airgap-bundle/collect/docker_archive.hpp"
#include "airgap-bundle/collect/download.hpp"
#include "airgap-bundle/collect/fetch.hpp"
#include "airgap-bundle/collect/files.hpp"
#include "airgap-bundle/collect/gather.hpp"
#include "airgap-bundle/collect/import.hpp"
#include "airgap-bundle/collect/layer.hpp"
#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/supply/policy.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/space.hpp"

namespace bedplate::collect {
namespace {

/// An image out of a docker archive may have this many blobs: layers, manifest, configuration.
constexpr std::size_t most_blobs_per_archive = oci::most_layers + 3;

Json descriptor_json(std::string_view type, const bundle::Descriptor& blob) {
  return {{"mediaType", type}, {"digest", blob.digest.str()}, {"size", blob.size}};
}

std::string provenance_of(const std::map<std::string, std::string>& annotations) {
  const auto found = annotations.find(std::string(oci::annotation::provenance));
  return found == annotations.end() ? "" : found->second;
}

/// What the specification says, else the registry that it is fetched from.
std::string provenance_of(const ImageSpec& image) {
  const auto said = provenance_of(image.annotations);
  return said.empty() && image.source.kind == SourceKind::registry ? image.source.location : said;
}

Result<void> feed_file(int fd, const std::filesystem::path& path, Sha256& hash, std::uint64_t& size,
                       Progress* progress, const bundle::Writer::Sink& sink) {
  std::vector<std::byte> block(std::size_t{1} << 18);
  while (true) {
    const ssize_t n = ::read(fd, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(errno, "cannot read " + path.string()));
    if (n == 0) return {};
    const auto part = std::span(block).first(static_cast<std::size_t>(n));
    hash.update(part);
    size += part.size();
    if (progress != nullptr) progress->advance(part.size());
    BP_CHECK(sink(part));
  }
}

bool exists_already(const ImageSpec& image) {
  return image.source.kind != SourceKind::rootfs && image.source.kind != SourceKind::docker_archive;
}

class Creation {
 public:
  Creation(const BundleSpec& spec, const CreateOptions& options, const PrivateKey& key,
           Progress* progress)
      : spec_(spec),
        options_(options),
        key_(key),
        progress_(progress),
        rate_(options.limit_rate, clock_),
        downloads_(options.cache.empty() ? default_blob_cache() : options.cache, rate_, clock_,
                   progress),
        gathering_(options.root, lock(), downloads_,
                   options.runner == nullptr ? own_runner_ : *options.runner, progress),
        access_(options.runner == nullptr ? own_runner_ : *options.runner) {}

  /// Everything that can be known before the first byte is written. `dry`: nothing is fetched, not
  /// even the programs that tell which images are needed.
  Result<SpacePlan> plan(bool dry) {
    gathering_.add_artifacts(spec_);
    BP_CHECK(expand_files());
    BP_CHECK(gathering_.find(spec_, files_));
    if (!dry) BP_CHECK(gathering_.fetch_payload(files_, options_.workers));
    BP_TRY(const auto files_size, gathering_.size(files_));
    input_size_ += files_size;
    BP_CHECK(collect_needs());
    BP_CHECK(check_names());
    BP_CHECK(configure(access_, spec_, options_.root));
    if (options_.patience) access_.set_patience(*options_.patience);
    BP_CHECK(plan_copies());
    prepare_reuse();
    return measure(false);
  }

  Result<Created> run() {
    BP_TRY(const auto space, plan(false));
    BP_CHECK(check_space(space));
    BP_CHECK(gathering_.fetch(spec_, files_, options_.created_at, options_.workers));
    // What was fetched may have come to the same file system.
    BP_TRY(const auto space_now, measure(true));
    BP_CHECK(check_space(space_now));
    BP_TRY(auto writer, bundle::Writer::create(options_.output, most_others(), name_bytes(), known_,
                                               options_.have));
    // What lay beside it of another layout is known only now.
    reuse_.add_leftover(options_.output);
    if (progress_ != nullptr) {
      progress_->begin("create " + options_.output.string(), input_size_ + known_size());
      if (writer.continued() > 0) {
        progress_->note(fmt::format("going on: {} are here from an earlier run",
                                    format_bytes(writer.continued())));
      }
      progress_->advance(writer.continued());
    }
    if (auto filled = fill(writer); !filled) {
      if (known_size() == 0) return fail(std::move(filled).error());
      return fail(std::move(filled).error().with_hint(
          "run the same command again: it goes on with what is here"));
    }
    for (const auto& item : spec_.allow_missing) {
      writer.allow_missing({item.image.str(), item.reason});
    }
    auto proof = closure::prove(needs_, allowed(), closure::lookup_in(writer.header()));
    BP_CHECK(require_closed(proof));
    BP_TRY(const auto index, make_index(writer));
    BP_CHECK(writer.finish(index, spec_.name, spec_.version, options_.created_at, key_));
    if (progress_ != nullptr) progress_->end();
    return Created{writer.header(), std::move(proof)};
  }

 private:
  /// Known blobs come from elsewhere while this thread makes the others.
  Result<void> fill(bundle::Writer& writer) {
    const Sources sources{options_.root, access_, spec_.file, &policy_};
    Fetch fetch(writer, copies_, sources, reuse_, rate_, progress_);
    fetch.start(options_.workers);
    std::size_t copy = 0;
    for (const auto& image : spec_.images) {
      const auto* plan = exists_already(image) ? &copies_[copy++] : nullptr;
      BP_CHECK_DURING(
          fmt::format("adding image {} ({}:{})", image.name.str(), spec_.file, image.line),
          add_image(writer, image, plan));
    }
    for (std::size_t i = 0; i < spec_.files.size(); ++i) {
      BP_CHECK_DURING(fmt::format("adding files {}", spec_.files[i].name),
                      add_files(writer, spec_.files[i], files_.of(i)));
    }
    if (charts_) {
      BP_TRY(const auto descriptors, charts_->add_to(writer));
      artifacts_.insert(artifacts_.end(), descriptors.begin(), descriptors.end());
    }
    return fetch.wait();
  }

  Result<void> plan_copies() {
    std::vector<ImageSpec> images;
    std::ranges::copy_if(spec_.images, std::back_inserter(images), exists_already);
    BP_TRY(policy_, supply::Policy::read(spec_, options_.root));
    if (images.empty()) return {};
    if (progress_ != nullptr) progress_->begin("ask for manifests", 0);
    BP_TRY(copies_, plan_images(images, {options_.root, access_, spec_.file, &policy_}, lock(),
                                options_.workers));
    note_left_out();
    std::map<Digest, std::uint64_t> sizes;
    for (const auto& copy : copies_) {
      for (const auto& layer : copy.layers) {
        const auto [known, added] = sizes.emplace(layer.digest, layer.size);
        if (known->second != layer.size) {
          return fail(
              ErrorKind::corrupt,
              fmt::format("{} says that {} has {} bytes, another image says {}",
                          copy.source.name.str(), layer.digest.str(), layer.size, known->second));
        }
        if (added) known_.push_back({layer.digest, layer.size});
      }
    }
    return {};
  }

  void note_left_out() const {
    for (const auto& copy : copies_) {
      for (const auto& note : copy.notes) {
        if (progress_ != nullptr) progress_->note(copy.source.name.str() + ": " + note);
      }
    }
  }

  void prepare_reuse() {
    if (known_.empty()) return;
    reuse_.add_bundle(options_.output, key_.public_key());
    for (const auto& path : options_.reuse) reuse_.add_bundle(path, key_.public_key());
    if (!options_.cache.empty()) reuse_.set_cache(options_.cache);
  }

  /// The site has it: it is not fetched.
  bool is_elsewhere(const bundle::Descriptor& blob) const {
    const auto had = options_.have.find(blob.digest);
    return had != options_.have.end() && had->second == blob.size;
  }

  std::uint64_t known_size() const {
    std::uint64_t sum = 0;
    for (const auto& blob : known_) sum += is_elsewhere(blob) ? 0 : blob.size;
    return sum;
  }

  /// `gathered`: all files are known, so that the places of all blobs are.
  Result<SpacePlan> measure(bool gathered) const {
    SpacePlan out;
    out.images = spec_.images.size();
    for (const auto& blob : known_) {
      if (is_elsewhere(blob)) continue;
      out.known += bundle::padded(blob.size) + bundle::tar_block;
      if (reuse_.find(blob.digest, blob.size)) out.here += blob.size;
    }
    // zstd's own bound for what cannot be compressed, and a tar header for each.
    out.made = input_size_ + (input_size_ >> 8U) + most_others() * 2 * bundle::tar_block;
    out.overhead = bundle::Writer::reserved_for(most_others() + known_.size(), name_bytes());
    if (!options_.have.empty()) out.overhead *= 2;  // the complete bundle's header, too
    for (const auto& copy : copies_) {
      for (const auto& text : copy.documents) out.overhead += bundle::padded(text.size());
    }
    const auto folder = std::filesystem::absolute(options_.output).parent_path();
    struct stat info{};
    if (gathered) {
      // What an earlier run began with other blobs is kept aside, and is no room saved.
      out.written = bundle::Writer::bytes_here(options_.output, most_others(), name_bytes(), known_,
                                               options_.have);
    } else if (::stat((options_.output.string() + ".partial").c_str(), &info) == 0) {
      out.written = static_cast<std::uint64_t>(info.st_blocks) * 512;
    }
    BP_TRY(const auto system, probe_file_system(folder));
    out.free = system.free;
    out.longest_file = system.longest_file;
    return out;
  }

  Result<void> check_space(const SpacePlan& plan) const {
    return require_room(plan, std::filesystem::absolute(options_.output).parent_path());
  }

  /// What charts and kubeadm ask for: rendered before anything big is fetched.
  Result<void> collect_needs() {
    if (options_.runner == nullptr) return {};
    const auto& version = files_.payload_version();
    if (const auto kubeadm = files_.payload_program("kubeadm")) {
      std::vector<std::string> images;
      for (const auto& image : spec_.images) images.push_back(image.name.str());
      BP_TRY(needs_, closure::kubeadm_images(*kubeadm, version, images, *options_.runner));
    }
    if (spec_.charts.empty()) return {};
    BP_TRY(const auto helm, choose_helm(options_.helm, files_));
    BP_TRY(auto charts,
           Charts::collect(spec_.charts, options_.root, helm, version, *options_.runner));
    if (options_.lock) {
      const auto contents = charts.contents();
      for (const auto& [name, content] : contents) {
        BP_CHECK(Lock::check(options_.lock->charts, name, content.digest));
      }
    }
    input_size_ += charts.size();
    needs_.insert(needs_.end(), charts.images().begin(), charts.images().end());
    charts_ = std::move(charts);
    return {};
  }

  std::vector<closure::AllowedMissing> allowed() const {
    std::vector<closure::AllowedMissing> out;
    for (const auto& item : spec_.allow_missing) out.push_back({item.image, item.reason});
    return out;
  }

  static Result<void> require_closed(const closure::Proof& proof) {
    if (proof.closed()) return {};
    return fail(ErrorKind::not_found,
                fmt::format("{} images are asked for and would not be in the bundle:\n{}",
                            proof.missing.size(), closure::missing_text(proof)),
                "add them under images:, or under allowMissing: with the reason");
  }

  /// By names alone, hours before the last image is there. Digests are known only then.
  Result<void> check_names() const {
    const auto by_name = [this](const oci::Reference& image) -> std::string {
      if (image.digest) return "not known yet";
      const bool listed = std::ranges::any_of(
          spec_.images, [&](const ImageSpec& spec) { return spec.name.str() == image.str(); });
      return listed ? "listed" : "";
    };
    return require_closed(closure::prove(needs_, allowed(), by_name));
  }

  Result<void> expand_files() {
    BP_TRY(files_, ArtifactFiles::expand(spec_, options_.root));
    for (const auto& image : spec_.images) {
      const auto path = options_.root / image.source.location;
      std::error_code code;
      if (image.source.kind != SourceKind::registry && !std::filesystem::exists(path, code)) {
        return fail(ErrorKind::not_found,
                    fmt::format("{}:{}: {} does not exist", spec_.file, image.line, path.string()),
                    "paths are relative to the specification, or to --root");
      }
      if (!exists_already(image)) input_size_ += tree_size(path);
    }
    return {};
  }

  /// Besides the known blobs.
  std::size_t most_others() const {
    std::size_t count = 16;
    for (const auto& image : spec_.images) {
      if (exists_already(image)) continue;
      count += image.source.kind == SourceKind::docker_archive ? most_blobs_per_archive : 3;
    }
    for (const auto& copy : copies_) count += copy.documents.size();
    for (std::size_t i = 0; i < spec_.files.size(); ++i) count += files_.of(i).size() + 2;
    for (const auto& chart : spec_.charts) count += 3 + chart.values.size();
    return count;
  }

  /// What the header will say about images and artifacts, with digests of the right length.
  std::size_t name_bytes() const {
    bundle::Header header;
    for (const auto& image : spec_.images) {
      header.images.push_back({image.name.str(),
                               {},
                               std::string(oci::media::docker_list),
                               provenance_of(image),
                               Digest{}});
    }
    for (const auto& copy : copies_) {
      for (const auto& referrer : copy.referrers) {
        header.referrers.push_back(entry_of(referrer, copy.source.name));
      }
    }
    for (const auto& files : spec_.files) {
      header.artifacts.push_back({files.name, files.version, {}, provenance_of(files.annotations)});
    }
    for (const auto& chart : spec_.charts) {
      header.charts.push_back({chart.name,
                               chart.version,
                               chart.name_space,
                               {},
                               std::vector<Digest>(chart.values.size()),
                               chart.api_versions,
                               chart.location});
    }
    for (const auto& item : spec_.allow_missing) {
      header.allowances.push_back({item.image.str(), item.reason});
    }
    header.name = spec_.name;
    header.version = spec_.version;
    return bundle::to_json_text(header).size();
  }

  Result<Imported> make_image(bundle::Writer& writer, const ImageSpec& image) {
    if (image.source.kind == SourceKind::rootfs) return assemble(writer, image);
    const auto path = options_.root / image.source.location;
    if (lock() != nullptr) {
      BP_TRY(const auto digest, digest_file(path));
      BP_CHECK(Lock::check(lock()->files, image.name.str(), digest));
    }
    return import_docker_archive(writer, image, path);
  }

  Result<void> add_image(bundle::Writer& writer, const ImageSpec& image, const PlannedImage* plan) {
    BP_TRY(const auto imported,
           plan == nullptr ? make_image(writer, image) : finish_image(writer, *plan));
    bundle::ImageEntry entry{
        image.name.str(), imported.digest, imported.media_type, provenance_of(image), {}};
    if (imported.index) {
      entry.index = imported.index->digest;
      artifacts_.push_back(descriptor_json(oci::media::kept_index, *imported.index));
    }
    writer.name_image(std::move(entry));
    images_.push_back({{"mediaType", imported.media_type},
                       {"digest", imported.digest.str()},
                       {"size", imported.size},
                       {"annotations",
                        {{oci::annotation::ref_name, image.name.str()},
                         {oci::annotation::containerd_name, image.name.str()}}}});
    if (imported.index) {
      images_.back()["annotations"][oci::annotation::upstream_index] = imported.index->digest.str();
    }
    if (plan != nullptr) name_referrers(writer, *plan);
    return {};
  }

  /// They hang off the contents, as artifacts do. Two tags of one image have them once.
  void name_referrers(bundle::Writer& writer, const PlannedImage& plan) {
    for (const auto& referrer : plan.referrers) {
      auto entry = entry_of(referrer, plan.source.name);
      if (referred_.emplace(entry.repository, referrer.key).second) {
        writer.name_referrer(std::move(entry));
      }
      auto descriptor =
          descriptor_json(referrer.media_type, {referrer.key.digest, referrer.text.size()});
      descriptor["artifactType"] = referrer.artifact_type;
      const auto& tag = referrer.key.tag;
      if (!tag.empty()) descriptor["annotations"] = {{oci::annotation::ref_name, tag}};
      if (std::ranges::find(artifacts_, descriptor) == artifacts_.end()) {
        artifacts_.push_back(std::move(descriptor));
      }
    }
  }

  Result<Imported> assemble(bundle::Writer& writer, const ImageSpec& image) {
    BP_TRY(const auto layer,
           add_rootfs_layer(writer, options_.root / image.source.location, progress_));
    if (lock() != nullptr) BP_CHECK(Lock::check(lock()->trees, image.name.str(), layer.diff_id));
    const auto slash = image.platform.find('/');
    Json settings = Json::object();
    if (!image.config.entrypoint.empty()) settings["Entrypoint"] = image.config.entrypoint;
    if (!image.config.cmd.empty()) settings["Cmd"] = image.config.cmd;
    if (!image.config.env.empty()) settings["Env"] = image.config.env;
    if (!image.config.user.empty()) settings["User"] = image.config.user;
    if (!image.config.working_dir.empty()) settings["WorkingDir"] = image.config.working_dir;
    const Json config{{"created", "1970-01-01T00:00:00Z"},
                      {"os", image.platform.substr(0, slash)},
                      {"architecture", image.platform.substr(slash + 1)},
                      {"config", settings},
                      {"rootfs", {{"type", "layers"}, {"diff_ids", {layer.diff_id.str()}}}},
                      {"history",
                       {{{"created", "1970-01-01T00:00:00Z"},
                         {"created_by", "bedplate bundle create"},
                         {"comment", provenance_of(image.annotations)}}}}};
    BP_TRY(const auto config_blob, writer.add(config.dump()));
    Json manifest{{"schemaVersion", 2},
                  {"mediaType", oci::media::manifest},
                  {"config", descriptor_json(oci::media::config, config_blob)},
                  {"layers", {descriptor_json(oci::media::layer_zstd, layer.blob)}}};
    if (!image.annotations.empty()) manifest["annotations"] = image.annotations;
    BP_TRY(const auto blob, writer.add(manifest.dump()));
    return Imported{blob.digest, std::string(oci::media::manifest), blob.size, {}};
  }

  const Lock* lock() const { return options_.lock ? &*options_.lock : nullptr; }

  Result<Json> add_file(bundle::Writer& writer, const std::string& artifact,
                        const ArtifactFile& file) {
    BP_TRY(auto fd, open_file(file.path, O_RDONLY));
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return fail(system_error(errno, "cannot stat"));
    Sha256 hash;
    std::uint64_t size = 0;
    const bool raw = is_compressed(file.name);
    BP_TRY(
        const auto blob, writer.add_stream([&](const bundle::Writer::Sink& sink) -> Result<void> {
          if (raw) return feed_file(fd.get(), file.path, hash, size, progress_, sink);
          ZstdStream stream(sink);
          BP_CHECK(feed_file(fd.get(), file.path, hash, size, progress_,
                             [&](std::span<const std::byte> part) { return stream.write(part); }));
          return stream.finish();
        }));
    const auto digest = hash.finish();
    if (lock() != nullptr && !file.checked) {
      BP_CHECK(Lock::check(lock()->files, artifact + "/" + file.name, digest));
    }
    if (file.remote && file.remote->digest != digest) {
      return fail(ErrorKind::corrupt, file.path.string() + " has changed since it was fetched",
                  "run the command again");
    }
    const auto mode = file.mode.value_or(info.st_mode & 0777U);
    auto layer = descriptor_json(raw ? oci::media::file : oci::media::file_zstd, blob);
    layer["annotations"] = {{oci::annotation::title, file.name},
                            {"dev.bedplate.mode", fmt::format("{:04o}", mode)},
                            {"dev.bedplate.size", std::to_string(size)},
                            {"dev.bedplate.sha256", digest.hex()}};
    return layer;
  }

  Result<void> add_files(bundle::Writer& writer, const FilesSpec& spec,
                         const std::vector<ArtifactFile>& files) {
    Json layers = Json::array();
    for (const auto& file : files) {
      BP_TRY_DURING(auto layer, "adding " + file.path.string(), add_file(writer, spec.name, file));
      layers.push_back(std::move(layer));
    }
    Json annotations = spec.annotations;
    annotations[std::string(oci::annotation::title)] = spec.name;
    annotations["org.opencontainers.image.version"] = spec.version;
    BP_TRY(const auto artifact,
           add_artifact(writer, oci::media::files, std::move(layers), annotations));
    writer.name_artifact(
        {spec.name, spec.version, artifact.digest, provenance_of(spec.annotations)});
    artifacts_.push_back(descriptor_json(oci::media::manifest, artifact));
    return {};
  }

  /// OCI image-spec, manifest.md, "Guidelines for Artifact Usage": an empty configuration.
  static Result<bundle::Descriptor> add_artifact(bundle::Writer& writer, std::string_view type,
                                                 Json layers, const Json& annotations) {
    BP_TRY(const auto empty, writer.add("{}"));
    Json manifest{{"schemaVersion", 2},
                  {"mediaType", oci::media::manifest},
                  {"artifactType", type},
                  {"config", descriptor_json(oci::media::empty, empty)},
                  {"layers", std::move(layers)}};
    if (!annotations.empty()) manifest["annotations"] = annotations;
    const auto text = manifest.dump();
    if (text.size() > oci::longest_manifest) {
      return fail(ErrorKind::unsupported,
                  fmt::format("a manifest would have {}, {} are possible",
                              format_bytes(text.size()), format_bytes(oci::longest_manifest)),
                  "make several bundles or artifacts of it");
    }
    return writer.add(text);
  }

  /// Only images are named; artifacts hang off one unnamed manifest, so that an importer that
  /// unpacks what is named leaves them alone and still sees their blobs as referred to.
  Result<std::string> make_index(bundle::Writer& writer) {
    Json manifests = images_;
    if (!artifacts_.empty()) {
      BP_TRY(const auto contents,
             add_artifact(writer, oci::media::contents, artifacts_, Json::object()));
      auto descriptor = descriptor_json(oci::media::manifest, contents);
      descriptor["artifactType"] = oci::media::contents;
      manifests.push_back(std::move(descriptor));
    }
    return Json{{"schemaVersion", 2}, {"mediaType", oci::media::index}, {"manifests", manifests}}
        .dump();
  }

  BundleSpec spec_;  ///< with an artifact for each of its packages
  const CreateOptions& options_;
  const PrivateKey& key_;
  Progress* progress_;
  SystemClock clock_;
  SystemProcessRunner own_runner_;
  RateLimit rate_;
  Downloads downloads_;
  Gathering gathering_;
  registry::Access access_;
  std::vector<PlannedImage> copies_;       ///< of images that exist already, in their order
  std::vector<bundle::Descriptor> known_;  ///< their layers, each once
  supply::Policy policy_;
  std::set<std::pair<std::string, ReferrerKey>>
      referred_;  ///< that the header names, by repository
  Reuse reuse_;
  ArtifactFiles files_;
  std::uint64_t input_size_ = 0;
  std::optional<Charts> charts_;
  std::vector<closure::FoundImage> needs_;
  Json images_ = Json::array();
  Json artifacts_ = Json::array();
};

}  // namespace

Result<Created> create_bundle(const BundleSpec& spec, const CreateOptions& options,
                              const PrivateKey& key, Progress* progress) {
  BP_TRY_DURING(auto created, "creating bundle " + options.output.string(),
                Creation(spec, options, key, progress).run());
  return created;
}

Result<void> require_room(const SpacePlan& plan, const std::filesystem::path& folder) {
  BP_CHECK(require_space({{folder, 0, plan.free, plan.shortest(), plan.longest_file}}));
  if (plan.free >= plan.needed()) return {};
  return fail(ErrorKind::io,
              fmt::format("{} has {} free; the bundle may need up to {}", folder.string(),
                          format_bytes(plan.free), format_bytes(plan.needed())),
              "free space there, or write the bundle to another file system with -o");
}

Result<SpacePlan> plan_space(const BundleSpec& spec, const CreateOptions& options,
                             const PrivateKey& key) {
  BP_TRY_DURING(const auto plan, "planning bundle " + options.output.string(),
                Creation(spec, options, key, nullptr).plan(true));
  return plan;
}

}  // namespace bedplate::collect

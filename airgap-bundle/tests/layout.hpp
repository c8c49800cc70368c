#pragma once

#include <string>
#include <string_view>

#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/signing.hpp"
#include "core/digest.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {

/// An OCI image layout written by hand. Descriptors are in their JSON form.
class Layout {
 public:
  explicit Layout(fs::path folder) : folder_(std::move(folder)) {
    write(folder_ / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  }

  Json put(std::string_view content, std::string_view type) const {
    const auto digest = Digest::of(content);
    write(folder_ / "blobs/sha256" / digest.hex(), content);
    return {{"mediaType", type}, {"digest", digest.str()}, {"size", content.size()}};
  }

  /// An image of one layer for linux.
  Json image(const std::string& architecture, const std::string& variant = "",
             const std::string& layer = "") const {
    Json config{{"os", "linux"},
                {"architecture", architecture},
                {"rootfs", {{"type", "layers"}, {"diff_ids", Json::array()}}}};
    Json platform{{"os", "linux"}, {"architecture", architecture}};
    if (!variant.empty()) platform["variant"] = config["variant"] = variant;
    const auto text = layer.empty() ? "a layer for " + architecture + variant : layer;
    auto out = manifest(put(config.dump(), oci::media::config),
                        Json::array({put(text, oci::media::layer_tar)}));
    out["platform"] = platform;
    return out;
  }

  Json manifest(const Json& config, const Json& layers, const Json& more = Json::object()) const {
    Json out{{"schemaVersion", 2},
             {"mediaType", oci::media::manifest},
             {"config", config},
             {"layers", layers}};
    out.update(more);
    return put(out.dump(), oci::media::manifest);
  }

  Json index(const Json& children) const {
    return put(Json{{"schemaVersion", 2}, {"mediaType", oci::media::index}, {"manifests", children}}
                   .dump(),
               oci::media::index);
  }

  /// Something that names `subject` as its own.
  Json referrer(const Json& subject, const std::string& type, const std::string& content,
                std::string_view layer_type = "application/octet-stream") const {
    return manifest(put("{}", oci::media::empty), Json::array({put(content, layer_type)}),
                    {{"artifactType", type}, {"subject", plain(subject)}});
  }

  /// BuildKit's attestation about an image, as a child of an index.
  Json attestation(const Json& about, const std::string& content) const {
    auto out = manifest(put(R"({"architecture":"unknown","os":"unknown"})", oci::media::config),
                        Json::array({put(content, "application/vnd.in-toto+json")}));
    out["platform"] = {{"os", "unknown"}, {"architecture", "unknown"}};
    out["annotations"] = {{oci::annotation::docker_reference_type, "attestation-manifest"},
                          {oci::annotation::docker_reference_digest, about["digest"]}};
    return out;
  }

  /// cosign's first form: what the tag `sha256-….sig` stands for.
  Json signature(const Signer& signer, const std::string& payload) const {
    auto layer = put(payload, oci::media::simple_signing);
    layer["annotations"][std::string(oci::annotation::cosign_signature)] =
        base64_encode(signer.sign(payload));
    return manifest(put(R"({"architecture":"","os":""})", oci::media::config),
                    Json::array({layer}));
  }

  /// Adds an entry to index.json; write() makes it so.
  Layout& add(Json descriptor, const std::string& name = "") {
    descriptor.erase("platform");
    descriptor.erase("annotations");
    if (!name.empty()) descriptor["annotations"][std::string(oci::annotation::ref_name)] = name;
    entries_.push_back(std::move(descriptor));
    bundle_test::write(folder_ / "index.json",
                       Json{{"schemaVersion", 2}, {"manifests", entries_}}.dump());
    return *this;
  }
  void clear() { entries_ = Json::array(); }

  static std::string digest(const Json& descriptor) {
    return descriptor["digest"].get<std::string>();
  }
  /// "sha256-<hex>.<suffix>"
  static std::string tag(const Json& descriptor, const std::string& suffix) {
    return "sha256-" + digest(descriptor).substr(7) + suffix;
  }
  fs::path blob(const Json& descriptor) const {
    return folder_ / "blobs/sha256" / digest(descriptor).substr(7);
  }

 private:
  static Json plain(const Json& descriptor) {
    return {{"mediaType", descriptor["mediaType"]},
            {"digest", descriptor["digest"]},
            {"size", descriptor["size"]}};
  }
  fs::path folder_;
  Json entries_ = Json::array();
};

}  // namespace bedplate::bundle_test

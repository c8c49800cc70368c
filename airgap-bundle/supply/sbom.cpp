#include "airgap-bundle/supply/sbom.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/oci/reference.hpp"

namespace bedplate::supply {
namespace {

constexpr std::string_view document_id = "SPDXRef-DOCUMENT";
constexpr std::string_view bundle_id = "SPDXRef-Bundle";
constexpr std::string_view no_assertion = "NOASSERTION";

/// RFC 3986, 2.1, with what a package URL leaves as it is.
std::string encoded(std::string_view text, std::string_view kept) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos ||
                       kept.find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

/// github.com/package-url/purl-spec, "oci" (purl-types): the version is the digest.
std::string image_purl(const oci::Reference& image, const Digest& digest) {
  const auto name = image.repository.substr(image.repository.rfind('/') + 1);
  return fmt::format(
      "pkg:oci/{}@{}?repository_url={}&tag={}", encoded(name, ""), encoded(digest.str(), ""),
      encoded(image.registry + "/" + image.repository, "/:"), encoded(image.tag, ""));
}

std::string purl(std::string_view type, const std::string& name, const std::string& version) {
  return fmt::format("pkg:{}/{}@{}", type, encoded(name, ""), encoded(version, ""));
}

/// Where a manifest is got. Hosts that mean something in one network only are not a location.
std::string location_of(const oci::Reference& reference, const Digest& digest) {
  const auto host = reference.registry.substr(0, reference.registry.find(':'));
  const auto last = host.substr(host.rfind('.') + 1);
  const bool named = host.find('.') != std::string::npos &&
                     std::ranges::all_of(last, [](char c) { return c >= 'a' && c <= 'z'; });
  if (!named) return std::string(no_assertion);
  return fmt::format(
      "https://{}/v2/{}/manifests/{}",
      reference.registry == "docker.io" ? "registry-1.docker.io" : reference.registry,
      reference.repository, digest.str());
}

bool is_bill(const bundle::ReferrerEntry& referrer) {
  const auto& type = referrer.artifact_type;
  return type.find("spdx") != std::string::npos || type.find("cyclonedx") != std::string::npos ||
         referrer.tag.ends_with(".sbom");
}

/// A document in the making.
class Document {
 public:
  explicit Document(const bundle::Reader& reader) : reader_(reader), header_(reader.header()) {}

  Result<Json> make() {
    add_bundle();
    BP_CHECK(add_images());
    add_charts();
    for (const auto& artifact : header_.artifacts) {
      BP_CHECK_DURING("reading artifact " + artifact.name, add_artifact(artifact));
    }
    add_referrers();
    const auto digest = Digest::of(bundle::to_json_text(header_)).hex();
    const auto name = fmt::format("{}-{}", header_.name, header_.version);
    return Json{{"spdxVersion", "SPDX-2.3"},
                {"dataLicense", "CC0-1.0"},
                {"SPDXID", document_id},
                {"name", name},
                {"documentNamespace",
                 fmt::format("https://spdx.org/spdxdocs/{}-{}", encoded(name, ""), digest)},
                {"creationInfo",
                 {{"created", format_rfc3339(header_.created_at)},
                  {"creators", Json::array({"Tool: bedplate"})}}},
                {"packages", std::move(packages_)},
                {"relationships", std::move(relationships_)}};
  }

 private:
  /// What every package has; SPDX 2.3, clause 7.
  static Json package(std::string_view id, const std::string& name, const std::string& version,
                      std::string_view purpose) {
    Json out{{"SPDXID", id},
             {"name", name},
             {"downloadLocation", no_assertion},
             {"filesAnalyzed", false},
             {"primaryPackagePurpose", purpose},
             {"licenseConcluded", no_assertion},
             {"licenseDeclared", no_assertion},
             {"copyrightText", no_assertion}};
    if (!version.empty()) out["versionInfo"] = version;
    return out;
  }

  static void set_checksum(Json& out, const std::string& hex) {
    out["checksums"] = Json::array({{{"algorithm", "SHA256"}, {"checksumValue", hex}}});
  }

  static void set_purl(Json& out, const std::string& locator) {
    out["externalRefs"] = Json::array({{{"referenceCategory", "PACKAGE-MANAGER"},
                                        {"referenceType", "purl"},
                                        {"referenceLocator", locator}}});
  }

  void relate(std::string_view from, std::string_view type, std::string_view to) {
    relationships_.push_back(
        {{"spdxElementId", from}, {"relationshipType", type}, {"relatedSpdxElement", to}});
  }

  void add_bundle() {
    auto out = package(bundle_id, header_.name, header_.version, "ARCHIVE");
    set_purl(out, purl("generic", header_.name, header_.version));
    out["comment"] = "signed by " + reader_.signer().str();
    packages_.push_back(std::move(out));
    relate(document_id, "DESCRIBES", bundle_id);
  }

  Result<void> add_images() {
    for (const auto& image : header_.images) {
      BP_TRY(const auto name, oci::Reference::parse(image.name));
      const auto id = fmt::format("SPDXRef-Image-{}", ++images_);
      auto out = package(id, image.name, name.tag, "CONTAINER");
      set_checksum(out, image.digest.hex());
      set_purl(out, image_purl(name, image.digest));
      if (const auto source = oci::Reference::parse(image.provenance)) {
        out["downloadLocation"] = location_of(*source, image.index.value_or(image.digest));
      }
      if (!image.provenance.empty()) out["sourceInfo"] = image.provenance;
      packages_.push_back(std::move(out));
      relate(bundle_id, "CONTAINS", id);
      const auto repository = name.registry + "/" + name.repository;
      subjects_[{repository, image.digest}].insert(id);
      if (image.index) subjects_[{repository, *image.index}].insert(id);
      BP_CHECK(add_platforms(image, repository, id));
    }
    return {};
  }

  /// What refers to a platform's manifest refers to the image whose name stands for the index.
  Result<void> add_platforms(const bundle::ImageEntry& image, const std::string& repository,
                             const std::string& id) {
    if (!oci::is_index(image.media_type) || header_.find(image.digest) == nullptr) return {};
    BP_TRY(const auto text, reader_.blob(image.digest));
    BP_TRY(const auto children, oci::listed_descriptors(text));
    for (const auto& child : children) subjects_[{repository, child.digest}].insert(id);
    return {};
  }

  void add_charts() {
    for (const auto& chart : header_.charts) {
      const auto id = fmt::format("SPDXRef-Chart-{}", ++charts_);
      auto out = package(id, chart.name, chart.version, "INSTALL");
      set_checksum(out, chart.digest.hex());
      set_purl(out, purl("helm", chart.name, chart.version));
      const auto& from = chart.provenance;
      if (from.starts_with("https://") || from.starts_with("http://")) {
        out["downloadLocation"] = from;
      }
      if (!from.empty()) out["sourceInfo"] = from;
      packages_.push_back(std::move(out));
      relate(bundle_id, "CONTAINS", id);
    }
  }

  Result<void> add_artifact(const bundle::ArtifactEntry& artifact) {
    const auto id = fmt::format("SPDXRef-Artifact-{}", ++artifacts_);
    auto out = package(id, artifact.name, artifact.version, "OTHER");
    set_checksum(out, artifact.digest.hex());
    set_purl(out, purl("generic", artifact.name, artifact.version));
    if (!artifact.provenance.empty()) out["sourceInfo"] = artifact.provenance;
    packages_.push_back(std::move(out));
    relate(bundle_id, "CONTAINS", id);
    // A differential bundle may leave the manifest to its base.
    if (header_.find(artifact.digest) == nullptr) return {};
    BP_TRY(const auto text, reader_.blob(artifact.digest));
    BP_TRY(const auto manifest, parse_json(text, "the artifact's manifest"));
    int number = 0;
    static const Json none = Json::array();
    const auto child = [](const Json& object, const char* key) -> const Json& {
      return object.is_object() && object.contains(key) ? object[key] : none;
    };
    if (!manifest.is_object()) {
      return fail(ErrorKind::corrupt,
                  "the manifest of artifact " + artifact.name + " is no object");
    }
    for (const auto& layer : child(manifest, "layers")) {
      const auto& annotations = child(layer, "annotations");
      const auto file_id = fmt::format("{}-File-{}", id, ++number);
      auto file = package(file_id, json_string_or(annotations, oci::annotation::title, "unnamed"),
                          "", "FILE");
      set_checksum(file, json_string_or(annotations, "dev.bedplate.sha256", ""));
      packages_.push_back(std::move(file));
      relate(id, "CONTAINS", file_id);
    }
    return {};
  }

  void add_referrers() {
    for (const auto& referrer : header_.referrers) {
      const auto id = fmt::format("SPDXRef-Referrer-{}", ++referrers_);
      const auto name = referrer.tag.empty() ? referrer.digest.str() : referrer.tag;
      auto out =
          package(id, referrer.repository + (referrer.tag.empty() ? "@" : ":") + name, "", "OTHER");
      set_checksum(out, referrer.digest.hex());
      out["comment"] = "of type " + referrer.artifact_type;
      packages_.push_back(std::move(out));
      relate(bundle_id, "CONTAINS", id);
      const auto found = subjects_.find({referrer.repository, referrer.subject});
      if (found == subjects_.end()) continue;
      for (const auto& image : found->second) {
        if (is_bill(referrer)) {
          relate(image, "DESCRIBED_BY", id);
        } else {
          relate(id, "METAFILE_OF", image);
        }
      }
    }
  }

  const bundle::Reader& reader_;
  const bundle::Header& header_;
  Json packages_ = Json::array();
  Json relationships_ = Json::array();
  std::map<std::pair<std::string, Digest>, std::set<std::string>> subjects_;
  int images_ = 0;
  int charts_ = 0;
  int artifacts_ = 0;
  int referrers_ = 0;
};

}  // namespace

Result<Json> spdx_document(const bundle::Reader& reader) {
  BP_TRY_DURING(auto out, "describing " + reader.path().string(), Document(reader).make());
  return out;
}

}  // namespace bedplate::supply

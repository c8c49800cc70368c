#include "airgap-bundle/collect/spec.hpp"

#include <array>
#include <set>

#include <fmt/format.h>

#include "airgap-bundle/collect/spec_nodes.hpp"
#include "airgap-bundle/oci/descriptor.hpp"
#include "airgap-bundle/supply/pattern.hpp"
#include "core/net.hpp"
#include "core/yaml.hpp"

namespace bedplate::collect {
namespace {

constexpr std::array<std::pair<std::string_view, SourceKind>, 5> kinds{
    {{"rootfs", SourceKind::rootfs},
     {"oci", SourceKind::oci_layout},
     {"oci-archive", SourceKind::oci_archive},
     {"docker-archive", SourceKind::docker_archive},
     {"registry", SourceKind::registry}}};

/// path[:name] of a layout or archive: the name follows the first colon, since it may be a full
/// reference with slashes and colons of its own.
void split_selector(ImageSource& source) {
  const auto colon = source.location.find(':');
  if (colon == std::string::npos) return;
  source.selector = source.location.substr(colon + 1);
  source.location.resize(colon);
}

ImageSource parse_source(const YamlNode& node, const oci::Reference& name) {
  ImageSource source;
  source.plain_http = node["plainHTTP"].boolean(false);
  const auto text = node["source"].string(false);
  if (!node["source"].present()) {
    source.location = name.str();
    return source;
  }
  const auto colon = text.find(':');
  for (const auto& [prefix, kind] : kinds) {
    if (colon == std::string::npos || text.substr(0, colon) != prefix) continue;
    source.kind = kind;
    source.location = text.substr(colon + 1);
    if (kind == SourceKind::docker_archive || kind == SourceKind::oci_layout ||
        kind == SourceKind::oci_archive) {
      split_selector(source);
    }
    if (kind == SourceKind::registry) {
      if (auto parsed = oci::Reference::parse(source.location); !parsed) {
        node["source"].finding(parsed.error().what);
      }
    }
    return source;
  }
  node["source"].finding(
      "must begin with one of rootfs:, oci:, oci-archive:, docker-archive:, registry:");
  return source;
}

std::map<std::string, std::string> parse_annotations(const YamlNode& node) {
  std::map<std::string, std::string> out;
  for (const auto& key : node.keys()) out[key] = node[key].string();
  return out;
}

ImageConfig parse_config(const YamlNode& node) {
  ImageConfig config;
  if (!node.present()) return config;
  node.expect_map({"entrypoint", "cmd", "env", "user", "workingDir"});
  config.entrypoint = node["entrypoint"].strings();
  config.cmd = node["cmd"].strings();
  config.env = node["env"].strings();
  config.user = node["user"].string(false);
  config.working_dir = node["workingDir"].string(false);
  return config;
}

void parse_platforms(const YamlNode& node, ImageSpec& image) {
  image.platform = node["platform"].string(false, "linux/amd64");
  auto several = node["platforms"].strings();
  for (const auto& text : several) {
    if (!oci::Platform::parse(text)) node["platforms"].finding(text + " is not a platform");
  }
  if (several.empty()) return;
  if (node["platform"].present()) node["platforms"].finding("give it or `platform`, not both");
  image.platform = several.front();
  if (several.size() == 1) return;
  if (image.source.kind == SourceKind::rootfs || image.source.kind == SourceKind::docker_archive) {
    node["platforms"].finding("such a source has one platform only");
  }
  image.platforms = std::move(several);
}

}  // namespace

ImageSpec parse_image(const YamlNode& node) {
  ImageSpec image;
  image.line = node.line();
  node.expect_map({"name", "source", "config", "annotations", "platform", "platforms", "plainHTTP",
                   "referrers"});
  if (!node.is_map()) return image;
  const auto name = node["name"].string();
  if (auto parsed = oci::Reference::parse(name)) {
    image.name = *parsed;
    if (image.name.tag.empty()) node["name"].finding("must have a tag");
  } else if (node["name"].present()) {
    node["name"].finding(parsed.error().what);
  }
  image.source = parse_source(node, image.name);
  image.config = parse_config(node["config"]);
  if (node["config"].present() && image.source.kind != SourceKind::rootfs) {
    node["config"].finding("is for rootfs: sources only; other images bring their own");
  }
  image.annotations = parse_annotations(node["annotations"]);
  parse_platforms(node, image);
  const auto mode = node["referrers"].choice({"all", "signatures", "none"}, false, "all");
  image.referrers = mode == "none"         ? ReferrerMode::none
                    : mode == "signatures" ? ReferrerMode::signatures
                                           : ReferrerMode::all;
  return image;
}

namespace {

FilesSpec parse_files(const YamlNode& node) {
  FilesSpec out;
  node.expect_map({"name", "version", "annotations", "files"});
  if (!node.is_map()) return out;
  out.name = node["name"].string();
  if (node["name"].present() && !is_dns_label(out.name)) {
    node["name"].finding("must be lower-case letters, digits and hyphens");
  }
  out.version = node["version"].string();
  out.annotations = parse_annotations(node["annotations"]);
  const auto files = node["files"].list();
  if (files.empty()) node["files"].finding("must list at least one file");
  for (const auto& item : files) out.files.push_back(parse_file(item));
  return out;
}

void parse_chart_source(const YamlNode& node, ChartSpec& chart) {
  const auto text = node.string();
  if (text.starts_with("https://") || text.starts_with("http://")) {
    chart.kind = ChartSourceKind::repository;
    chart.location = text;
  } else if (text.starts_with("oci://")) {
    chart.kind = ChartSourceKind::oci;
    chart.location = text;
  } else if (text.starts_with("file:")) {
    chart.location = text.substr(5);
  } else if (node.present()) {
    node.finding("must begin with one of file:, https://, oci://");
  }
}

}  // namespace

ChartSpec parse_chart(const YamlNode& node) {
  ChartSpec chart;
  chart.line = node.line();
  node.expect_map({"name", "version", "source", "namespace", "values", "apiVersions"});
  if (!node.is_map()) return chart;
  chart.name = node["name"].string();
  if (node["name"].present() && !is_dns_label(chart.name)) {
    node["name"].finding("must be lower-case letters, digits and hyphens");
  }
  chart.version = node["version"].string();
  parse_chart_source(node["source"], chart);
  chart.name_space = node["namespace"].string(false, chart.name);
  chart.values = node["values"].strings();
  chart.api_versions = node["apiVersions"].strings();
  return chart;
}

namespace {

RegistrySpec parse_registry(const YamlNode& node) {
  RegistrySpec out;
  node.expect_map({"host", "plainHTTP", "ca", "clientCertificate", "clientKey", "mirrors"});
  if (!node.is_map()) return out;
  out.host = node["host"].string();
  if (node["host"].present() && !oci::Reference::parse(out.host + "/repository:tag")) {
    node["host"].finding("must be a host, with a port if it is not the usual one");
  }
  out.plain_http = node["plainHTTP"].boolean(false);
  out.ca = node["ca"].string(false);
  out.certificate = node["clientCertificate"].string(false);
  out.key = node["clientKey"].string(false);
  if (out.certificate.empty() != out.key.empty()) {
    node.finding("clientCertificate and clientKey belong together");
  }
  out.mirrors = node["mirrors"].strings();
  for (const auto& mirror : out.mirrors) {
    if (!oci::Reference::parse(mirror + "/repository:tag")) {
      node["mirrors"].finding(mirror + " is not of the form HOST[:PORT][/PREFIX]");
    }
  }
  return out;
}

PolicySpec parse_policy(const YamlNode& node, const std::vector<ImageSpec>& images) {
  constexpr std::string_view attestation = "attestation:";
  PolicySpec out;
  out.line = node.line();
  node.expect_map({"images", "keys", "require"});
  if (!node.is_map()) return out;
  out.images = node["images"].string();
  out.keys = node["keys"].strings();
  if (out.keys.empty()) node["keys"].finding("must list at least one public key");
  const auto require = node["require"].string(false, "signature");
  if (require.starts_with(attestation)) out.attestation = require.substr(attestation.size());
  if (require != "signature" && out.attestation.empty()) {
    node["require"].finding("must be signature, or attestation: and a predicate type");
  }
  for (const auto& image : images) check_signed(out, image, node["images"]);
  return out;
}

}  // namespace

void check_signed(const PolicySpec& rule, const ImageSpec& image, const YamlNode& node) {
  if (image.source.kind != SourceKind::docker_archive || !supply::means(rule.images, image.name)) {
    return;
  }
  node.finding(image.name.str() +
               " comes from a docker archive, which carries no signatures: take it from a registry "
               "or an OCI layout");
}

AllowMissingSpec parse_allowance(const YamlNode& node) {
  AllowMissingSpec out;
  node.expect_map({"image", "reason"});
  if (!node.is_map()) return out;
  if (auto image = oci::Reference::parse(node["image"].string())) {
    out.image = *image;
  } else if (node["image"].present()) {
    node["image"].finding(image.error().what);
  }
  out.reason = node["reason"].string();
  return out;
}

Result<BundleSpec> parse_spec(std::string_view text, std::string_view file_name) {
  BP_TRY(const auto root, YamlNode::parse(text, file_name));
  BundleSpec spec;
  spec.file = file_name;
  root.expect_map({"kind", "name", "version", "images", "files", "charts", "allowMissing",
                   "registries", "policy", "packages", "catalog"});
  if (root.is_map()) {
    (void)root["kind"].choice({"Bundle"}, true);
    spec.name = root["name"].string();
    spec.version = root["version"].string();
    std::set<std::string> names;
    for (const auto& item : root["images"].list()) {
      spec.images.push_back(parse_image(item));
      const auto name = spec.images.back().name.str();
      if (!names.insert(name).second) item["name"].finding(name + " is listed twice");
    }
    for (const auto& item : root["files"].list()) {
      spec.files.push_back(parse_files(item));
      if (!names.insert(spec.files.back().name).second) {
        item["name"].finding(spec.files.back().name + " is listed twice");
      }
    }
    for (const auto& item : root["charts"].list()) {
      spec.charts.push_back(parse_chart(item));
      if (!names.insert("chart " + spec.charts.back().name).second) {
        item["name"].finding("a chart " + spec.charts.back().name + " is listed twice");
      }
    }
    for (const auto& item : root["allowMissing"].list()) {
      spec.allow_missing.push_back(parse_allowance(item));
    }
    for (const auto& item : root["registries"].list()) {
      spec.registries.push_back(parse_registry(item));
      if (!names.insert("registry " + spec.registries.back().host).second) {
        item["host"].finding(spec.registries.back().host + " is listed twice");
      }
    }
    for (const auto& item : root["policy"].list()) {
      spec.policy.push_back(parse_policy(item, spec.images));
    }
    parse_packages_and_catalogs(root, spec);
    check_plain_http(root, spec);
    if (spec.images.empty() && spec.files.empty() && spec.charts.empty() && spec.packages.empty() &&
        spec.catalogs.empty()) {
      root.finding("must list something under images, files, charts, packages or catalog");
    }
  }
  BP_CHECK(report_findings(root.findings()));
  return spec;
}

}  // namespace bedplate::collect

#include "airgap-bundle/closure/bundle_proof.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "airgap-bundle/closure/helm.hpp"
#include "airgap-bundle/oci/manifest.hpp"
#include "core/file.hpp"
#include "core/text.hpp"

namespace bedplate::closure {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view payload = "node-payload";
constexpr std::uint64_t largest_chart = 256ULL << 20;

/// A program of the bundle's node payload, if it has one.
Result<std::optional<fs::path>> program_of(const bundle::Reader& reader, const std::string& name,
                                           const fs::path& folder) {
  if (reader.header().artifact(payload) == nullptr) return std::nullopt;
  const auto extracted = reader.extract_file(payload, "bin/" + name, folder);
  if (extracted) return folder / "bin" / name;
  if (extracted.error().kind == ErrorKind::not_found) return std::nullopt;
  return fail(extracted.error());
}

Result<ChartInput> chart_input(const bundle::Reader& reader, const bundle::ChartEntry& chart,
                               const fs::path& folder) {
  BP_TRY(const auto text, reader.blob(chart.digest));
  BP_TRY(const auto manifest, oci::parse_manifest(text));
  if (manifest.layers.empty()) {
    return fail(ErrorKind::corrupt, fmt::format("chart {} has no content", chart.name));
  }
  ChartInput out;
  out.name = chart.name;
  out.name_space = chart.name_space;
  out.api_versions = chart.api_versions;
  out.archive = folder / (chart.name + ".tgz");
  BP_TRY(const auto content, reader.blob(manifest.layers.front().digest, largest_chart));
  BP_CHECK(write_file_atomic(out.archive, content));
  for (const auto& digest : chart.values) {
    BP_TRY(const auto values, reader.blob(digest));
    out.values.push_back(folder / fmt::format("{}-{}.yaml", chart.name, out.values.size()));
    BP_CHECK(write_file_atomic(out.values.back(), values));
  }
  return out;
}

std::string tag_of(std::string_view repository, const std::vector<std::string>& images) {
  for (const auto& image : images) {
    const auto colon = image.rfind(':');
    if (colon != std::string::npos && image.substr(0, colon) == repository) {
      return image.substr(colon + 1);
    }
  }
  return {};
}

/// kubeadm v1beta4 ClusterConfiguration with the fields that choose images.
std::string kubeadm_config(const std::string& version, const std::vector<std::string>& images) {
  Json config{{"apiVersion", "kubeadm.k8s.io/v1beta4"},
              {"kind", "ClusterConfiguration"},
              {"kubernetesVersion", version}};
  if (const auto tag = tag_of("registry.k8s.io/etcd", images); !tag.empty()) {
    config["etcd"]["local"]["imageTag"] = tag;
  }
  if (const auto tag = tag_of("registry.k8s.io/coredns/coredns", images); !tag.empty()) {
    config["dns"]["imageTag"] = tag;
  }
  return config.dump();
}

}  // namespace

Lookup lookup_in(const bundle::Header& header) {
  return [&header](const oci::Reference& image) -> std::string {
    if (image.digest) {
      return header.find(*image.digest) == nullptr ? "" : image.digest->str();
    }
    const auto found = std::ranges::find(header.images, image.str(), &bundle::ImageEntry::name);
    return found == header.images.end() ? "" : found->digest.str();
  };
}

Result<std::vector<FoundImage>> kubeadm_images(const fs::path& kubeadm, const std::string& version,
                                               const std::vector<std::string>& images,
                                               ProcessRunner& runner) {
  BP_TRY(const auto folder, TemporaryDirectory::create("bedplate-kubeadm"));
  const auto config = folder.path() / "kubeadm.yaml";
  BP_CHECK(write_file_atomic(config, kubeadm_config(version, images)));
  BP_TRY_DURING(
      const auto list, "asking kubeadm for its images",
      runner.check({kubeadm.string(), "config", "images", "list", "--config", config.string()}));
  std::vector<FoundImage> out;
  for (std::size_t start = 0; start < list.size();) {
    const auto end = std::min(list.find('\n', start), list.size());
    const auto line = trimmed(std::string_view(list).substr(start, end - start));
    start = end + 1;
    if (line.empty()) continue;
    BP_TRY(auto image, normalize(line));
    const bool pause = image.repository == "pause";
    out.push_back({std::move(image), std::string(line),
                   fmt::format("kubeadm {}: config images list{}", version,
                               pause ? ", and containerd's sandbox image" : ""),
                   Certainty::field});
  }
  return out;
}

Result<Proof> prove_bundle(const bundle::Reader& reader, const fs::path& helm,
                           ProcessRunner& runner) {
  BP_TRY(const auto folder, TemporaryDirectory::create("bedplate-proof"));
  const auto& header = reader.header();
  std::vector<FoundImage> found;
  std::string version;
  BP_TRY(const auto kubeadm, program_of(reader, "kubeadm", folder.path()));
  if (kubeadm) {
    version = header.artifact(payload)->version;
    std::vector<std::string> images;
    for (const auto& image : header.images) images.push_back(image.name);
    BP_TRY(found, kubeadm_images(*kubeadm, version, images, runner));
  }
  if (!header.charts.empty()) {
    BP_TRY(const auto own_helm, program_of(reader, "helm", folder.path()));
    for (const auto& chart : header.charts) {
      BP_TRY(auto input, chart_input(reader, chart, folder.path()));
      input.kube_version = version;
      BP_TRY(const auto manifests, render_chart(own_helm.value_or(helm), input, runner));
      BP_TRY(auto images, find_images(manifests, chart.name));
      std::ranges::move(images, std::back_inserter(found));
    }
  }
  std::vector<AllowedMissing> allowed;
  for (const auto& item : header.allowances) {
    BP_TRY(auto image, oci::Reference::parse(item.image));
    allowed.push_back({std::move(image), item.reason});
  }
  return prove(found, allowed, lookup_in(header));
}

}  // namespace bedplate::closure

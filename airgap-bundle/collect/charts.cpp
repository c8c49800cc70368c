#include "airgap-bundle/collect/charts.hpp"

#include <algorithm>

#include <fcntl.h>
#include <fmt/format.h>

#include "airgap-bundle/closure/helm.hpp"
#include "airgap-bundle/collect/chart_repository.hpp"
#include "airgap-bundle/collect/image_store.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "core/yaml.hpp"

namespace bedplate::collect {
namespace {

namespace fs = std::filesystem;

/// Helm knows repositories, registries, their credentials and their redirects.
Result<fs::path> fetch(const ChartSpec& spec, const fs::path& root, const fs::path& folder,
                       const fs::path& helm, ProcessRunner& runner) {
  std::error_code code;
  if (spec.kind == ChartSourceKind::file) {
    auto path = root / spec.location;
    if (fs::is_regular_file(path, code)) return path;
    return fail(ErrorKind::not_found, fmt::format("{} does not exist", path.string()),
                "name a chart that `helm package` or `helm pull` wrote");
  }
  const auto target = folder / spec.name;
  BP_CHECK(make_directories(target));
  if (spec.kind == ChartSourceKind::repository) {
    return pull_from_repository(spec, target, helm, runner);
  }
  Command pull;
  pull.argv = {helm.string(), "pull",          spec.location,  "--version",
               spec.version,  "--destination", target.string()};
  for (const auto* name : {"HELM_CACHE_HOME", "HELM_DATA_HOME"}) {
    pull.environment[name] = (folder / "helm").string();
  }
  BP_TRY(const auto result, runner.run(pull));
  if (result.status != 0) {
    return fail(ErrorKind::network,
                fmt::format("cannot fetch {} {} from {}: {}", spec.name, spec.version,
                            spec.location, result.err),
                "a registry with an account: `helm registry login` there first");
  }
  return pulled_archive(target);
}

/// Chart.yaml as JSON, which is the configuration of Helm's OCI form.
Result<std::string> read_metadata(const ChartSpec& spec, const fs::path& archive,
                                  const fs::path& helm, ProcessRunner& runner) {
  BP_TRY(const auto yaml, runner.check({helm.string(), "show", "chart", archive.string()}));
  BP_TRY(const auto node, YamlNode::parse(yaml, archive.filename().string() + "/Chart.yaml"));
  const auto version = node["version"].string();
  BP_CHECK(report_findings(node.findings()));
  if (version != spec.version) {
    return fail(ErrorKind::invalid,
                fmt::format("the chart has version {}, {} was asked for", version, spec.version));
  }
  return node.to_json_text();
}

Json descriptor(std::string_view type, const bundle::Descriptor& blob) {
  return {{"mediaType", type}, {"digest", blob.digest.str()}, {"size", blob.size}};
}

/// What was rendered is what is written, though somebody edits files meanwhile.
Result<bundle::Descriptor> add_file(bundle::Writer& writer, const fs::path& path,
                                    const LockedContent& rendered) {
  BP_TRY(const auto fd, open_file(path, O_RDONLY));
  std::error_code code;
  const auto size = fs::file_size(path, code);
  BP_TRY(auto out, writer.add_stream([&](const bundle::Writer::Sink& sink) {
    return feed_range(fd.get(), 0, size, sink);
  }));
  if (out.digest == rendered.digest) return out;
  return fail(ErrorKind::corrupt, path.string() + " has changed since its chart was rendered",
              "run the command again");
}

Result<LockedContent> content_of(const fs::path& path) {
  BP_TRY(const auto digest, digest_file(path));
  std::error_code code;
  return LockedContent{digest, fs::file_size(path, code)};
}

}  // namespace

Result<Charts> Charts::collect(const std::vector<ChartSpec>& specs, const fs::path& root,
                               const fs::path& helm, const std::string& kube_version,
                               ProcessRunner& runner) {
  BP_TRY(auto folder, TemporaryDirectory::create("bedplate-charts"));
  Charts out(std::move(folder));
  for (const auto& spec : specs) {
    const auto doing = fmt::format("collecting chart {}", spec.name);
    Chart chart;
    chart.spec = spec;
    BP_TRY_DURING(chart.archive, doing, fetch(spec, root, out.folder_.path(), helm, runner));
    BP_TRY_DURING(chart.metadata, doing, read_metadata(spec, chart.archive, helm, runner));
    closure::ChartInput input;
    input.name = spec.name;
    input.archive = chart.archive;
    input.name_space = spec.name_space;
    input.kube_version = kube_version;
    input.api_versions = spec.api_versions;
    for (const auto& values : spec.values) chart.values.push_back(root / values);
    input.values = chart.values;
    BP_TRY_DURING(chart.archive_content, doing, content_of(chart.archive));
    for (const auto& values : chart.values) {
      BP_TRY_DURING(auto content, doing, content_of(values));
      chart.values_content.push_back(content);
    }
    BP_TRY(const auto manifests, closure::render_chart(helm, input, runner));
    BP_TRY_DURING(auto images, doing, closure::find_images(manifests, spec.name));
    std::ranges::move(images, std::back_inserter(out.images_));
    out.charts_.push_back(std::move(chart));
  }
  return out;
}

std::map<std::string, LockedContent> Charts::contents() const {
  std::map<std::string, LockedContent> out;
  for (const auto& chart : charts_) {
    out[chart.spec.name] = chart.archive_content;
    for (std::size_t i = 0; i < chart.values.size(); ++i) {
      out[chart.spec.name + "/" + chart.spec.values[i]] = chart.values_content[i];
    }
  }
  return out;
}

std::uint64_t Charts::size() const {
  std::uint64_t sum = 0;
  std::error_code code;
  for (const auto& chart : charts_) sum += fs::file_size(chart.archive, code);
  return sum;
}

Result<Json> Charts::add_to(bundle::Writer& writer) const {
  Json out = Json::array();
  for (const auto& chart : charts_) {
    BP_TRY_DURING(auto descriptors, fmt::format("adding chart {}", chart.spec.name),
                  add_chart(writer, chart));
    out.insert(out.end(), descriptors.begin(), descriptors.end());
  }
  return out;
}

Result<Json> Charts::add_chart(bundle::Writer& writer, const Chart& chart) {
  BP_TRY(const auto config, writer.add(chart.metadata));
  BP_TRY(const auto content, add_file(writer, chart.archive, chart.archive_content));
  const Json manifest{{"schemaVersion", 2},
                      {"mediaType", oci::media::manifest},
                      {"config", descriptor(oci::media::helm_config, config)},
                      {"layers", {descriptor(oci::media::helm_chart, content)}},
                      {"annotations",
                       {{oci::annotation::title, chart.spec.name},
                        {"org.opencontainers.image.version", chart.spec.version}}}};
  BP_TRY(const auto blob, writer.add(manifest.dump()));
  Json out = Json::array({descriptor(oci::media::manifest, blob)});
  bundle::ChartEntry entry;
  entry.name = chart.spec.name;
  entry.version = chart.spec.version;
  entry.name_space = chart.spec.name_space;
  entry.digest = blob.digest;
  entry.api_versions = chart.spec.api_versions;
  entry.provenance = chart.spec.location;
  for (std::size_t i = 0; i < chart.values.size(); ++i) {
    BP_TRY(const auto values, add_file(writer, chart.values[i], chart.values_content[i]));
    entry.values.push_back(values.digest);
    out.push_back(descriptor(oci::media::values, values));
  }
  writer.name_chart(std::move(entry));
  return out;
}

}  // namespace bedplate::collect

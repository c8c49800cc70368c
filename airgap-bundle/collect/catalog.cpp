#include "airgap-bundle/collect/catalog.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "airgap-bundle/collect/spec_nodes.hpp"
#include "airgap-bundle/supply/pattern.hpp"
#include "core/file.hpp"
#include "core/yaml.hpp"

namespace bedplate::collect {
namespace {

namespace fs = std::filesystem;

/// One component.yaml on its way into a specification.
class Component {
 public:
  Component(BundleSpec& spec, const CatalogSpec& catalog, std::string name, YamlNode node)
      : spec_(spec), catalog_(catalog), name_(std::move(name)), node_(std::move(node)) {}

  std::vector<Finding> add() {
    node_.expect_map({"kind", "name", "charts", "images", "allowMissing", "profiles"});
    if (!node_.is_map()) return node_.findings();
    (void)node_["kind"].choice({"Component"}, true);
    if (node_["name"].string() != name_ && node_["name"].present()) {
      node_["name"].finding(fmt::format("must be '{}', as the folder is called", name_));
    }
    const auto profile = choose_profile();
    for (const auto& item : node_["charts"].list()) add_chart(item, profile);
    check_profile(profile);
    for (const auto& item : node_["images"].list()) add_image(item);
    for (const auto& item : node_["allowMissing"].list()) add_allowance(item);
    auto findings = std::move(elsewhere_);
    std::ranges::move(node_.findings(), std::back_inserter(findings));
    return findings;
  }

 private:
  /// Components without profiles are the same in all.
  YamlNode choose_profile() {
    const auto profiles = node_["profiles"];
    const auto names = profiles.keys();
    auto none = profiles[""];
    if (!profiles.present()) return none;
    if (std::ranges::find(names, catalog_.profile) != names.end()) {
      return profiles[catalog_.profile];
    }
    const auto chosen = catalog_.profile.empty() ? std::string("none was named")
                                                 : fmt::format("not '{}'", catalog_.profile);
    elsewhere_.push_back({spec_.file, catalog_.line, 1, "catalog.profile",
                          fmt::format("component {} has the profiles {}, and {}", name_,
                                      fmt::join(names, ", "), chosen)});
    return none;
  }

  /// Paths in the component are relative to its folder, those in the specification to the root.
  std::string below(const std::string& path) const {
    return (fs::path(catalog_.path) / name_ / path).generic_string();
  }

  void add_chart(const YamlNode& item, const YamlNode& profile) {
    auto chart = parse_chart(item);
    chart.line = catalog_.line;  // of the specification, as for all others
    if (chart.kind == ChartSourceKind::file) chart.location = below(chart.location);
    for (auto& values : chart.values) values = below(values);
    if (profile.is_map()) {
      for (const auto& values : profile["values"][chart.name].strings()) {
        chart.values.push_back(below(values));
      }
    }
    charts_.push_back(chart.name);
    const auto same = std::ranges::find(spec_.charts, chart.name, &ChartSpec::name);
    if (same != spec_.charts.end() && item.is_map()) {
      item["name"].finding(fmt::format("a chart {} is in the bundle already", chart.name));
    }
    spec_.charts.push_back(std::move(chart));
  }

  void check_profile(const YamlNode& profile) const {
    if (!profile.present()) return;
    profile.expect_map({"values"});
    for (const auto& chart :
         profile.is_map() ? profile["values"].keys() : std::vector<std::string>()) {
      if (std::ranges::find(charts_, chart) == charts_.end()) {
        profile["values"][chart].finding("is not one of the component's charts");
      }
    }
  }

  /// Components may share images, if they mean the same by them.
  void add_image(const YamlNode& item) {
    auto image = parse_image(item);
    image.line = catalog_.line;
    if (image.source.kind != SourceKind::registry) {
      image.source.location = below(image.source.location);
    }
    for (const auto& rule : spec_.policy) check_signed(rule, image, item["source"]);
    const auto same = std::ranges::find_if(
        spec_.images, [&](const ImageSpec& other) { return other.name.str() == image.name.str(); });
    if (same == spec_.images.end()) {
      spec_.images.push_back(std::move(image));
    } else if (same->source != image.source) {
      item["name"].finding(
          fmt::format("{} is in the bundle already, from another source", image.name.str()));
    } else if (same->platform != image.platform || same->platforms != image.platforms ||
               same->referrers != image.referrers || same->config != image.config ||
               same->annotations != image.annotations) {
      item["name"].finding(fmt::format(
          "{} is in the bundle already, and is to be something else there: say the same of "
          "platforms, referrers, configuration and annotations in both places",
          image.name.str()));
    }
  }

  void add_allowance(const YamlNode& item) {
    auto allowance = parse_allowance(item);
    const bool there = std::ranges::any_of(spec_.allow_missing, [&](const AllowMissingSpec& other) {
      return other.image.str() == allowance.image.str();
    });
    if (!there) spec_.allow_missing.push_back(std::move(allowance));
  }

  BundleSpec& spec_;
  const CatalogSpec& catalog_;
  std::string name_;
  YamlNode node_;
  std::vector<std::string> charts_;
  std::vector<Finding> elsewhere_;  ///< in the specification
};

Result<YamlNode> read_component(const BundleSpec& spec, const CatalogSpec& catalog,
                                const std::string& name, const fs::path& root) {
  const auto path = root / catalog.path / name / "component.yaml";
  std::error_code code;
  if (!fs::exists(path, code)) {
    return fail(ErrorKind::not_found,
                fmt::format("{}:{}: the catalog has no component {}: {} does not exist", spec.file,
                            catalog.line, name, path.string()),
                "components are folders below path:");
  }
  return YamlNode::read(path);
}

}  // namespace

Result<void> expand_catalogs(BundleSpec& spec, const fs::path& root) {
  std::vector<Finding> findings;
  for (const auto& catalog : spec.catalogs) {
    for (const auto& name : catalog.components) {
      BP_TRY(auto node, read_component(spec, catalog, name, root));
      auto found = Component(spec, catalog, name, std::move(node)).add();
      std::ranges::move(found, std::back_inserter(findings));
    }
  }
  return report_findings(findings);
}

Result<BundleSpec> load_spec(const fs::path& file, const fs::path& root) {
  BP_TRY(const auto text, read_file(file, 4U << 20));
  BP_TRY(auto spec, parse_spec(text, file.string()));
  BP_CHECK(expand_catalogs(spec, root));
  std::vector<Finding> findings;
  for (const auto& rule : spec.policy) {
    if (std::ranges::any_of(spec.images, [&](const ImageSpec& image) {
          return supply::means(rule.images, image.name);
        })) {
      continue;
    }
    findings.push_back(
        {spec.file, rule.line, 1, "policy.images",
         fmt::format("'{}' means none of the images: nothing would be checked", rule.images)});
  }
  BP_CHECK(report_findings(findings));
  return spec;
}

}  // namespace bedplate::collect

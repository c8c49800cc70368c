#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/process.hpp"
#include "core/result.hpp"

namespace bedplate::closure {

/// A chart as it will be installed.
struct ChartInput {
  std::string name;               ///< release name too
  std::filesystem::path archive;  ///< chart folder or .tgz
  std::string name_space = "default";
  std::vector<std::filesystem::path> values;  ///< later ones win
  std::string kube_version;                   ///< what `.Capabilities.KubeVersion` says
  std::vector<std::string> api_versions;      ///< what `.Capabilities.APIVersions` has beside that
};

/// What helm would send to a cluster: templates with hooks, tests and custom resource definitions,
/// rendered by the real `helm template` without a cluster. Helm's own folders are kept out of the
/// home of whoever runs this. ErrorKind::invalid with helm's words when the chart or its values do
/// not render.
Result<std::string> render_chart(const std::filesystem::path& helm, const ChartInput& chart,
                                 ProcessRunner& runner);

}  // namespace bedplate::closure

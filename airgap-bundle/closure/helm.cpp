#include "airgap-bundle/closure/helm.hpp"

#include <fmt/format.h>

#include "core/file.hpp"

namespace bedplate::closure {

Result<std::string> render_chart(const std::filesystem::path& helm, const ChartInput& chart,
                                 ProcessRunner& runner) {
  BP_TRY(const auto home, TemporaryDirectory::create("bedplate-helm"));
  Command command;
  command.argv = {helm.string(), "template",       chart.name,      chart.archive.string(),
                  "--namespace", chart.name_space, "--include-crds"};
  for (const auto& file : chart.values) {
    command.argv.insert(command.argv.end(), {"--values", file.string()});
  }
  if (!chart.kube_version.empty()) {
    command.argv.insert(command.argv.end(), {"--kube-version", chart.kube_version});
  }
  for (const auto& version : chart.api_versions) {
    command.argv.insert(command.argv.end(), {"--api-versions", version});
  }
  for (const auto* name : {"HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HOME"}) {
    command.environment[name] = home.path().string();
  }
  command.timeout = std::chrono::minutes(5);
  BP_TRY_DURING(const auto result, fmt::format("rendering chart {}", chart.name),
                runner.run(command));
  if (result.status == 0) return result.out;
  return fail(ErrorKind::invalid,
              fmt::format("chart {} does not render: {}", chart.name, result.err),
              "check its values; `helm template` with the same files shows the same");
}

}  // namespace bedplate::closure

#include "airgap-bundle/closure/commands.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "airgap-bundle/closure/helm.hpp"
#include "airgap-bundle/closure/proof.hpp"
#include "core/file.hpp"

namespace bedplate {
namespace {

namespace fs = std::filesystem;

struct ImagesOptions {
  std::vector<std::string> inputs;
  std::vector<std::string> values;
  std::vector<std::string> api_versions;
  std::string kube_version;
  std::string name_space = "default";
  std::string helm = "helm";
  bool where = false;
};

Result<std::string> read_input(const std::string& input, const ImagesOptions& options,
                               ProcessRunner& runner) {
  std::error_code ignored;
  const bool chart = input.ends_with(".tgz") || fs::is_directory(input, ignored);
  if (input == "-") return read_file("/dev/stdin");
  if (!chart) return read_file(input);
  closure::ChartInput what;
  what.archive = input;
  what.name = fs::path(input).filename().string();
  what.name = what.name.substr(0, what.name.find_first_of("._0123456789"));
  while (what.name.ends_with('-')) what.name.pop_back();
  what.name_space = options.name_space;
  what.kube_version = options.kube_version;
  what.api_versions = options.api_versions;
  what.values.assign(options.values.begin(), options.values.end());
  return closure::render_chart(options.helm, what, runner);
}

Result<int> list_images(const ImagesOptions& options, bool json) {
  SystemProcessRunner runner;
  std::vector<closure::FoundImage> found;
  for (const auto& input : options.inputs) {
    BP_TRY(const auto manifests, read_input(input, options, runner));
    BP_TRY(auto images, closure::find_images(manifests, input));
    std::ranges::move(images, std::back_inserter(found));
  }
  // Nothing is there yet: what is missing is what is asked for.
  const auto proof = closure::prove(found, {}, [](const oci::Reference&) { return std::string(); });
  if (json) {
    fmt::print("{}\n", closure::to_json(proof)["missing"].dump());
    return 0;
  }
  for (const auto& need : proof.missing) {
    fmt::print("{}{}\n", need.image.str(),
               need.certainty == closure::Certainty::text ? "  # from text" : "");
    if (!options.where) continue;
    for (const auto& place : need.where) fmt::print("    {}\n", place);
  }
  return 0;
}

}  // namespace

void add_images_command(CLI::App& bundle, Invocation& invocation) {
  auto* command =
      bundle.add_subcommand("images", "List every image that charts and manifests name");
  const auto options = std::make_shared<ImagesOptions>();
  command->add_option("input", options->inputs, "Charts (.tgz or folder), manifests, - for stdin")
      ->required();
  command->add_option("--values", options->values, "Values for the charts, later ones win");
  command->add_option("--kube-version", options->kube_version, "Version that charts are told");
  command->add_option("--api-versions", options->api_versions, "APIs that charts are told of");
  command->add_option("--namespace", options->name_space, "Namespace")->capture_default_str();
  command->add_option("--helm", options->helm, "Helm to render with")->capture_default_str();
  command->add_flag("--where", options->where, "Also say where each one is named");
  command->footer(
      "Renders charts without a cluster and without network.\n"
      "Examples:\n  bedplate bundle images harbor-1.18.0.tgz --values harbor.yaml --where\n"
      "  kubectl get pods -A -o yaml | bedplate bundle images -");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return list_images(*options, invocation.json); };
  });
}

}  // namespace bedplate

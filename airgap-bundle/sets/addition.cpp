#include "airgap-bundle/sets/addition.hpp"

#include "core/json.hpp"

namespace bedplate::sets {

Result<collect::BundleSpec> addition_spec(const AdditionOptions& options) {
  if (!options.source.empty() && options.images.size() != 1) {
    return fail(ErrorKind::usage, "--source is of one image: name one");
  }
  Json images = Json::array();
  for (const auto& name : options.images) {
    Json image{{"name", name}, {"platform", options.platform}};
    if (!options.source.empty()) image["source"] = options.source;
    if (options.plain_http) image["plainHTTP"] = true;
    images.push_back(std::move(image));
  }
  const Json spec{{"kind", "Bundle"},
                  {"name", options.name},
                  {"version", options.version},
                  {"images", std::move(images)}};
  // JSON is YAML: so the words of the command line meet the same checks as those of a file.
  return collect::parse_spec(spec.dump(2), "the command line");
}

}  // namespace bedplate::sets

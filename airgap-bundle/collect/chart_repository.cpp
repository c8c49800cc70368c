#include "airgap-bundle/collect/chart_repository.hpp"

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/text.hpp"

namespace bedplate::collect {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view own_name = "bundle";
/// Large public repositories have indexes of some 20 MB.
constexpr std::uint64_t largest_index = 256ULL << 20;

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

/// Under what name whoever runs this has added the repository; empty: not at all.
std::string name_of_added(const std::string& url, const fs::path& helm, ProcessRunner& runner) {
  const auto text = runner.check({helm.string(), "repo", "list", "-o", "json"});
  if (!text) return {};  // helm fails when there is none
  const auto list = parse_json(*text, "helm repo list");
  if (!list || !list->is_array()) return {};
  for (const auto& item : *list) {
    if (without_slash(json_string_or(item, "url", "")) == without_slash(url)) {
      return json_string_or(item, "name", "");
    }
  }
  return {};
}

/// The digest is optional in an index. One that has digests must have this one.
Result<void> check_index(const ChartSpec& spec, const fs::path& archive, const fs::path& index) {
  BP_TRY(const auto text, read_file(index, largest_index));
  BP_TRY(const auto digest, digest_file(archive));
  if (text.find("digest:") == std::string::npos || text.find(digest.hex()) != std::string::npos) {
    return {};
  }
  return fail(
      ErrorKind::corrupt,
      fmt::format("the repository's index has another digest for {} {} than {}", spec.name,
                  spec.version, digest.str()),
      "ask who keeps the repository; a chart that you have checked can be named with file:");
}

}  // namespace

Result<fs::path> pulled_archive(const fs::path& folder) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    if (entry.path().extension() == ".tgz") return entry.path();
  }
  return fail(ErrorKind::not_found, "helm pull wrote no chart");
}

Result<fs::path> pull_from_repository(const ChartSpec& spec, const fs::path& folder,
                                      const fs::path& helm, ProcessRunner& runner) {
  auto name = name_of_added(spec.location, helm, runner);
  const bool added = !name.empty();
  if (!added) name = own_name;
  const auto cache = folder / "repository";
  BP_CHECK(make_directories(cache));
  const auto run = [&](std::vector<std::string> words) -> Result<void> {
    Command command;
    command.argv = {helm.string()};
    command.argv.insert(command.argv.end(), words.begin(), words.end());
    command.environment["HELM_REPOSITORY_CACHE"] = cache.string();
    if (!added)
      command.environment["HELM_REPOSITORY_CONFIG"] = (folder / "repositories.yaml").string();
    BP_TRY(const auto result, runner.run(command));
    if (result.status == 0) return {};
    return fail(ErrorKind::network,
                fmt::format("cannot fetch {} {} from {}: {}", spec.name, spec.version,
                            spec.location, trimmed(result.err)),
                "a repository with an account: `helm repo add` it first");
  };
  if (added) {
    BP_CHECK(run({"repo", "update", name}));
  } else {
    BP_CHECK(run({"repo", "add", name, spec.location}));
  }
  BP_CHECK(run({"pull", name + "/" + spec.name, "--version", spec.version, "--destination",
                folder.string()}));
  BP_TRY(auto archive, pulled_archive(folder));
  BP_CHECK(check_index(spec, archive, cache / (name + "-index.yaml")));
  return archive;
}

}  // namespace bedplate::collect

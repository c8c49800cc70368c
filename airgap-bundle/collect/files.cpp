#include "airgap-bundle/collect/files.hpp"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include "core/file.hpp"
#include "core/process.hpp"

namespace bedplate::collect {

Result<std::vector<ArtifactFile>> expand(const FilesSpec& spec, const std::filesystem::path& root) {
  std::vector<ArtifactFile> out;
  for (const auto& item : spec.files) {
    const auto path = root / item.path;
    std::error_code code;
    if (std::filesystem::is_regular_file(path, code)) {
      out.push_back({path, item.to});
      continue;
    }
    if (!std::filesystem::is_directory(path, code)) {
      return fail(ErrorKind::not_found, fmt::format("{} does not exist", path.string()));
    }
    for (std::filesystem::recursive_directory_iterator it(path, code), end; !code && it != end;
         it.increment(code)) {
      if (!it->is_regular_file()) continue;
      const auto relative = it->path().lexically_relative(path);
      out.push_back({it->path(), (std::filesystem::path(item.to) / relative).generic_string()});
    }
    if (code) return fail(system_error(code.value(), "cannot read folder " + path.string()));
  }
  std::ranges::sort(out, {}, &ArtifactFile::name);
  const auto twice = std::ranges::adjacent_find(out, {}, &ArtifactFile::name);
  if (twice != out.end()) {
    return fail(ErrorKind::invalid,
                fmt::format("artifact {} would hold {} twice", spec.name, twice->name));
  }
  return out;
}

Result<ArtifactFiles> ArtifactFiles::expand(const BundleSpec& spec,
                                            const std::filesystem::path& root) {
  ArtifactFiles out;
  for (const auto& files : spec.files) {
    BP_TRY_DURING(auto list, "collecting files " + files.name, collect::expand(files, root));
    if (files.name == payload_artifact) {
      out.payload_ = out.files_.size();
      out.payload_version_ = files.version;
    }
    out.files_.push_back(std::move(list));
  }
  return out;
}

std::optional<std::filesystem::path> ArtifactFiles::payload_program(const std::string& name) const {
  if (!payload_) return std::nullopt;
  const auto& files = files_[*payload_];
  const auto found = std::ranges::find(files, "bin/" + name, &ArtifactFile::name);
  if (found == files.end()) return std::nullopt;
  return found->path;
}

Result<std::filesystem::path> choose_helm(const std::filesystem::path& named,
                                          const ArtifactFiles& files) {
  if (!named.empty()) return named;
  if (auto own = files.payload_program("helm")) return *own;
  auto found = find_program("helm", "");
  if (found) return found;
  return fail(ErrorKind::dependency, "helm, which renders the charts, was not found",
              "carry it as bin/helm of the files 'node-payload', or name one with --helm");
}

}  // namespace bedplate::collect

#include "airgap-bundle/collect/files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>
#include <sys/stat.h>

#include "airgap-bundle/collect/fetch.hpp"
#include "airgap-bundle/collect/layer.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/collect/spec_nodes.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "core/file.hpp"
#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/text.hpp"

namespace bedplate::collect {

namespace {

namespace fs = std::filesystem;

Error unsupported(const fs::path& path, std::string_view what) {
  return Error(ErrorKind::unsupported, fmt::format("{} is {}", path.string(), what));
}

/// A link is carried as the file it means, if that is in the folder: whoever can put a link into
/// it must not be able to have any file of this machine carried away.
Result<void> check_link(const fs::path& path, const fs::path& folder) {
  std::error_code code;
  const auto target = fs::canonical(path, code);
  if (code) {
    return fail(
        ErrorKind::not_found,
        fmt::format("{} is a symbolic link to something that does not exist", path.string()),
        "remove the link, or add what it names");
  }
  const auto inside = target.lexically_relative(fs::canonical(folder, code));
  if (code || inside.empty() || *inside.begin() == "..") {
    return fail(unsupported(path, "a symbolic link to " + target.string() +
                                      ", which is outside of the folder")
                    .with_hint("list that file by itself, with the name it shall have"));
  }
  if (fs::is_directory(target, code)) {
    return fail(unsupported(path, "a symbolic link to a folder")
                    .with_hint("list that folder by itself, with the name it shall have"));
  }
  return {};
}

Result<void> expand_folder(const FileSpec& item, const fs::path& folder,
                           std::vector<ArtifactFile>& out) {
  std::error_code code;
  for (fs::recursive_directory_iterator it(folder, code), end; !code && it != end;
       it.increment(code)) {
    std::error_code ignored;
    const auto type = it->symlink_status(ignored).type();
    if (type == fs::file_type::directory) continue;
    if (type == fs::file_type::symlink) BP_CHECK(check_link(it->path(), folder));
    if (!it->is_regular_file(ignored)) {
      return fail(unsupported(it->path(), "neither a file nor a folder")
                      .with_hint("remove it: only files can be carried"));
    }
    ArtifactFile file;
    file.path = it->path();
    file.name = (fs::path(item.to) / it->path().lexically_relative(folder)).generic_string();
    file.line = item.line;
    out.push_back(std::move(file));
  }
  if (code) return fail(system_error(code.value(), "cannot read folder " + folder.string()));
  return {};
}

Result<void> expand_item(const FileSpec& item, const fs::path& root,
                         std::vector<ArtifactFile>& out) {
  ArtifactFile file;
  file.name = item.to;
  file.mode = item.mode;
  file.line = item.line;
  if (!item.url.empty()) {
    file.mode = item.mode.value_or(0644);
    file.remote = Download{};
    file.remote->url = item.url;
    file.remote->digest = item.digest;
    out.push_back(std::move(file));
    return {};
  }
  file.path = root / item.path;
  std::error_code code;
  const auto status = fs::status(file.path, code);
  if (fs::is_directory(status)) {
    if (item.mode) {
      return fail(
          ErrorKind::invalid,
          fmt::format("{} is a folder: its files have modes of their own", file.path.string()));
    }
    return expand_folder(item, file.path, out);
  }
  if (!fs::exists(status)) {
    return fail(ErrorKind::not_found, fmt::format("{} does not exist", file.path.string()));
  }
  if (!fs::is_regular_file(status)) {
    return fail(unsupported(file.path, "neither a file nor a folder"));
  }
  out.push_back(std::move(file));
  return {};
}

/// It is here now.
Result<void> place(ArtifactFile& file, const Downloaded& here) {
  // Programs of the payload are run from there.
  if ((file.mode.value_or(0) & 0111U) != 0 && ::chmod(here.path.c_str(), 0755) != 0) {
    return fail(system_error(errno, "cannot set the mode of " + here.path.string()));
  }
  file.path = here.path;
  file.remote->digest = here.digest;
  file.remote->size = here.size;
  return {};
}

}  // namespace

Result<void> set_tls(ArtifactFile& file, const BundleSpec& spec, const fs::path& root) {
  if (!file.remote) return {};
  const auto host = host_of(file.remote->url);
  const auto found = std::ranges::find(spec.registries, host, &RegistrySpec::host);
  if (found == spec.registries.end()) return {};
  BP_TRY(auto settings, read_settings(*found, root));
  file.remote->tls = std::move(settings.tls);
  return {};
}

bool is_compressed(std::string_view name) {
  constexpr std::array<std::string_view, 9> ends{".deb", ".gz",  ".tgz", ".xz",      ".txz",
                                                 ".zst", ".bz2", ".zip", ".squashfs"};
  return std::ranges::any_of(ends, [&](std::string_view end) { return name.ends_with(end); });
}

Result<std::vector<ArtifactFile>> expand(const FilesSpec& spec, const std::filesystem::path& root) {
  std::vector<ArtifactFile> out;
  for (const auto& item : spec.files) BP_CHECK(expand_item(item, root, out));
  const auto odd = std::ranges::find_if_not(out, is_utf8, &ArtifactFile::name);
  if (odd != out.end()) {  // a manifest is JSON
    return fail(ErrorKind::invalid, fmt::format("the name of {} is not UTF-8", odd->path.string()),
                "rename the file");
  }
  std::ranges::sort(out, {}, &ArtifactFile::name);
  const auto twice = std::ranges::adjacent_find(out, {}, &ArtifactFile::name);
  if (twice != out.end()) {
    return fail(ErrorKind::invalid,
                fmt::format("artifact {} would hold {} twice", spec.name, twice->name));
  }
  // The list of the files is a manifest, and no registry or reader takes a longer one.
  constexpr std::size_t bytes_per_file = 340;  // without its name
  std::size_t list = 0;
  for (const auto& file : out) list += bytes_per_file + file.name.size();
  if (list > oci::longest_manifest) {
    return fail(ErrorKind::unsupported,
                fmt::format("artifact {} has {} files, whose list would be longer than the {} that "
                            "a manifest may have",
                            spec.name, out.size(), format_bytes(oci::longest_manifest)),
                "pack the folder into an archive, or make several artifacts of it");
  }
  return out;
}

Result<ArtifactFiles> ArtifactFiles::expand(const BundleSpec& spec,
                                            const std::filesystem::path& root) {
  ArtifactFiles out;
  for (const auto& files : spec.files) {
    BP_TRY_DURING(auto list, "collecting files " + files.name, collect::expand(files, root));
    for (auto& file : list) BP_CHECK(set_tls(file, spec, root));
    if (files.name == payload_artifact) {
      out.payload_ = out.files_.size();
      out.payload_version_ = files.version;
    }
    out.files_.push_back(std::move(list));
  }
  return out;
}

Result<void> ArtifactFiles::pin(const BundleSpec& spec, const Lock& lock) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    for (auto& file : files_[i]) {
      if (!file.remote) continue;
      const auto name = spec.files[i].name + "/" + file.name;
      const auto found = lock.files.find(name);
      // The same refusal as for a file of this machine.
      BP_CHECK(Lock::check(lock.files, name,
                           found == lock.files.end()
                               ? Digest{}
                               : file.remote->digest.value_or(found->second.digest)));
      file.remote->digest = found->second.digest;
      file.remote->size = found->second.size;
    }
  }
  return {};
}

Result<void> ArtifactFiles::find(const Downloads& downloads) {
  for (auto& files : files_) {
    for (auto& file : files) {
      if (!file.remote || !file.path.empty()) continue;
      if (const auto here = downloads.find(*file.remote)) BP_CHECK(place(file, *here));
    }
  }
  return {};
}

std::vector<ArtifactFile*> ArtifactFiles::missing(bool payload_only) {
  std::vector<ArtifactFile*> out;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (payload_only && payload_ != i) continue;
    for (auto& file : files_[i]) {
      if (file.remote && file.path.empty()) out.push_back(&file);
    }
  }
  return out;
}

Result<void> ArtifactFiles::fetch(const std::vector<ArtifactFile*>& wanted,
                                  const Downloads& downloads, unsigned workers) {
  std::vector<Download> list;
  for (const auto* file : wanted) list.push_back(*file->remote);
  BP_TRY(const auto here, downloads.get_all(list, workers));
  for (std::size_t i = 0; i < wanted.size(); ++i) BP_CHECK(place(*wanted[i], here[i]));
  return {};
}

std::uint64_t ArtifactFiles::present_size() const {
  std::uint64_t sum = 0;
  for (const auto& files : files_) {
    for (const auto& file : files) {
      if (!file.path.empty()) sum += tree_size(file.path);
    }
  }
  return sum;
}

Result<std::uint64_t> ArtifactFiles::missing_size(const Downloads& downloads) const {
  std::uint64_t sum = 0;
  const auto http = make_http_client();
  for (const auto& files : files_) {
    for (const auto& file : files) {
      if (!file.remote || !file.path.empty()) continue;
      if (file.remote->size) {
        sum += *file.remote->size;
        continue;
      }
      BP_TRY(const auto size, downloads.ask_size(*file.remote, *http));
      sum += size.value_or(0);
    }
  }
  return sum;
}

void ArtifactFiles::set(std::size_t artifact, std::vector<ArtifactFile> files) {
  files_[artifact] = std::move(files);
}

std::optional<std::filesystem::path> ArtifactFiles::payload_program(const std::string& name) const {
  if (!payload_) return std::nullopt;
  const auto& files = files_[*payload_];
  const auto found = std::ranges::find(files, "bin/" + name, &ArtifactFile::name);
  if (found == files.end() || found->path.empty()) return std::nullopt;
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

#include "qemu-tests/lab/medium.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "core/file.hpp"

namespace bedplate::lab {
namespace {

namespace fs = std::filesystem;

fs::path own_program() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored);
}

Result<fs::path> find_bundle(const fs::path& iso, const MediumSource& source,
                             const fs::path& folder, ProcessRunner& runner, Progress& progress) {
  if (source.bundle) return fs::absolute(*source.bundle);
  auto bundle = folder / "site.bundle";
  std::error_code ignored;
  if (fs::exists(bundle, ignored)) return bundle;
  const auto unfinished = folder / "site.bundle.tmp";
  BP_TRY(const auto xorriso, find_program("xorriso", "xorriso"));
  progress.begin("reading the bundle from the medium", 0);
  BP_CHECK(runner.check({xorriso.string(), "-osirrox", "on", "-indev", iso.string(), "-extract",
                         "/bedplate/site.bundle", unfinished.string()}));
  fs::rename(unfinished, bundle, ignored);
  return bundle;
}

Result<fs::path> extract_kubectl(const bundle::Reader& reader, const fs::path& folder,
                                 Progress& progress) {
  const auto payload = folder / "payload";
  auto kubectl = payload / "bin" / "kubectl";
  std::error_code ignored;
  if (fs::exists(kubectl, ignored)) return kubectl;
  BP_CHECK(reader.extract("node-payload", payload, &progress));
  if (fs::exists(kubectl, ignored)) return kubectl;
  return fail(ErrorKind::not_found, "the bundle's node payload has no bin/kubectl");
}

}  // namespace

Result<fs::path> find_iso(const MediumSource& source, const fs::path& folder, ProcessRunner& runner,
                          Progress& progress) {
  std::error_code ignored;
  if (source.iso) {
    if (fs::exists(*source.iso, ignored)) return fs::absolute(*source.iso);
    return fail(ErrorKind::not_found, fmt::format("{} does not exist", source.iso->string()));
  }
  if (!source.system || !source.bundle) {
    return fail(ErrorKind::usage, "there is nothing to install from",
                "name a medium with --iso, or its parts with --system and --bundle");
  }
  auto iso = folder / "site.iso";
  Command command;
  command.argv = {own_program().string(),
                  "image",
                  "iso",
                  "--site",
                  source.site.string(),
                  "--secrets",
                  source.secrets.string(),
                  "--system",
                  source.system->string(),
                  "--bundle",
                  source.bundle->string(),
                  "-o",
                  iso.string()};
  command.on_line = [&](std::string_view line) { progress.note(line); };
  BP_CHECK_DURING("making the medium", runner.check(command));
  return iso;
}

Result<Medium> open_medium(const fs::path& iso, const MediumSource& source,
                           const std::vector<PublicKey>& trusted, const fs::path& folder,
                           ProcessRunner& runner, Progress& progress) {
  Medium medium;
  medium.iso = iso;
  BP_TRY(const auto file, find_bundle(iso, source, folder, runner, progress));
  BP_TRY(const auto reader, bundle::Reader::open(file, trusted));
  const auto& header = reader.header();
  medium.bundle = fmt::format("{} {}", header.name, header.version);
  for (const auto& entry : header.entries) medium.digests.insert(entry.digest.str());
  for (const auto& image : header.images) {
    if (image.name.find("/busybox:") != std::string::npos) medium.check_image = image.name;
  }
  if (medium.check_image.empty()) {
    return fail(ErrorKind::not_found, "the bundle has no BusyBox image to try the cluster with",
                "add docker.io/library/busybox to the bundle's specification");
  }
  BP_TRY(medium.kubectl, extract_kubectl(reader, folder, progress));
  return medium;
}

}  // namespace bedplate::lab

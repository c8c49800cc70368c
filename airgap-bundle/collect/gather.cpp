#include "airgap-bundle/collect/gather.hpp"

#include <fmt/format.h>

#include "airgap-bundle/oci/media_types.hpp"

namespace bedplate::collect {

void Gathering::add_artifacts(BundleSpec& spec) {
  first_ = spec.files.size();
  for (const auto& packages : spec.packages) {
    FilesSpec files;
    files.name = artifact_name(packages);
    files.version = packages.version.empty() ? spec.version : packages.version;
    files.annotations[std::string(oci::annotation::provenance)] =
        fmt::format("Debian {} from {}", packages.suite, packages.mirror);
    spec.files.push_back(std::move(files));
  }
}

Result<LockedPackages> Gathering::locked(const PackagesSpec& packages) {
  if (lock_ == nullptr) return solve_packages(packages, root_, runner_, progress_);
  BP_TRY(const auto asked, packages_asked(packages, root_));
  return lock_->locked_packages(artifact_name(packages), asked);
}

Result<void> Gathering::find(const BundleSpec& spec, ArtifactFiles& files) {
  if (lock_ != nullptr) BP_CHECK(files.pin(spec, *lock_));
  packages_.clear();
  for (const auto& item : spec.packages) {
    BP_TRY_DURING(auto packages,
                  fmt::format("collecting packages {} ({}:{})", item.name, spec.file, item.line),
                  locked(item));
    auto list = package_files(item, packages);
    for (auto& file : list) BP_CHECK(set_tls(file, spec, root_));
    files.set(first_ + packages_.size(), std::move(list));
    packages_.push_back(std::move(packages));
  }
  return files.find(downloads_);
}

Result<std::uint64_t> Gathering::size(const ArtifactFiles& files) const {
  BP_TRY(const auto missing, files.missing_size(downloads_));
  return missing + files.present_size();
}

Result<void> Gathering::fetch_payload(ArtifactFiles& files, unsigned workers) {
  return files.fetch(files.missing(true), downloads_, workers);
}

Result<void> Gathering::fetch(const BundleSpec& spec, ArtifactFiles& files, WallTime created_at,
                              unsigned workers) {
  const auto missing = files.missing(false);
  if (!missing.empty()) {
    std::uint64_t bytes = 0;
    for (const auto* file : missing) bytes += file->remote->size.value_or(0);
    if (progress_ != nullptr) progress_->begin("fetch files", bytes);
    BP_CHECK(files.fetch(missing, downloads_, workers));
    if (progress_ != nullptr) progress_->end();
  }
  if (packages_.empty()) return {};
  BP_TRY(auto folder, TemporaryDirectory::create("bedplate-packages"));
  indexes_.emplace(std::move(folder));
  for (std::size_t i = 0; i < packages_.size(); ++i) {
    auto list = files.of(first_ + i);
    BP_CHECK_DURING(
        fmt::format("indexing packages {}", spec.packages[i].name),
        add_indexes(spec.packages[i], packages_[i], created_at, indexes_->path(), runner_, list));
    files.set(first_ + i, std::move(list));
  }
  return {};
}

}  // namespace bedplate::collect

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "airgap-bundle/collect/download.hpp"
#include "airgap-bundle/collect/spec.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

struct Lock;

inline constexpr std::string_view payload_artifact = "node-payload";

/// A file of a files artifact: where it is, and what it is called there.
struct ArtifactFile {
  std::filesystem::path path;      ///< empty: not fetched yet
  std::string name;                ///< path in the artifact
  std::optional<mode_t> mode;      ///< else the file's own
  std::optional<Download> remote;  ///< where it comes from, unless it is a file of this machine
  int line = 0;                    ///< of the specification
  /// Its content was compared with a digest that is not in the lock's list of files, or was made
  /// here from such content.
  bool checked = false;
};

/// Whether compressing once more is for nothing, going by the name.
bool is_compressed(std::string_view name);

/// Every file of the artifact, folders with all below them, sorted by name. Symbolic links that
/// stay in their folder are followed, and carried as the file they mean. ErrorKind::not_found for
/// what does not exist, unsupported for devices, sockets, and links to folders or out of the
/// folder, invalid when two would have one name.
Result<std::vector<ArtifactFile>> expand(const FilesSpec& spec, const std::filesystem::path& root);

/// What is said of the host under `registries:` holds for files from there, too.
Result<void> set_tls(ArtifactFile& file, const BundleSpec& spec, const std::filesystem::path& root);

/// The files of each artifact of a specification, in its order.
class ArtifactFiles {
 public:
  static Result<ArtifactFiles> expand(const BundleSpec& spec, const std::filesystem::path& root);

  /// Files by URL get the digest and size that the lock has for them. ErrorKind::not_found when it
  /// does not know one; corrupt when the specification itself names another digest.
  Result<void> pin(const BundleSpec& spec, const Lock& lock);
  /// Files by URL that are here already get their path.
  Result<void> find(const Downloads& downloads);
  /// Files by URL that are not here; of the node payload only, or all.
  std::vector<ArtifactFile*> missing(bool payload_only);
  /// Brings them here.
  Result<void> fetch(const std::vector<ArtifactFile*>& wanted, const Downloads& downloads,
                     unsigned workers);
  /// Bytes of the files that are here.
  std::uint64_t present_size() const;
  /// Bytes of files that are not here yet; asks servers where nobody has said how many.
  Result<std::uint64_t> missing_size(const Downloads& downloads) const;

  /// Replaces the files of one artifact.
  void set(std::size_t artifact, std::vector<ArtifactFile> files);
  const std::vector<ArtifactFile>& of(std::size_t artifact) const { return files_[artifact]; }
  /// A program of the node payload ("bin/<name>"), if the specification has it and it is here.
  std::optional<std::filesystem::path> payload_program(const std::string& name) const;
  /// The node payload's version; empty without one.
  const std::string& payload_version() const { return payload_version_; }

 private:
  std::vector<std::vector<ArtifactFile>> files_;
  std::optional<std::size_t> payload_;
  std::string payload_version_;
};

/// Helm to render charts with: the named one, else the payload's, else the one in PATH.
Result<std::filesystem::path> choose_helm(const std::filesystem::path& named,
                                          const ArtifactFiles& files);

}  // namespace bedplate::collect

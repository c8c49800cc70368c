#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "airgap-bundle/collect/spec.hpp"
#include "core/result.hpp"

namespace bedplate::collect {

inline constexpr std::string_view payload_artifact = "node-payload";

/// A file of a files artifact: where it is, and what it is called there.
struct ArtifactFile {
  std::filesystem::path path;
  std::string name;
};

/// Every file of the artifact, folders with all below them, sorted by name. ErrorKind::not_found
/// for what does not exist, invalid when two would have one name.
Result<std::vector<ArtifactFile>> expand(const FilesSpec& spec, const std::filesystem::path& root);

/// The files of each artifact of a specification, in its order.
class ArtifactFiles {
 public:
  static Result<ArtifactFiles> expand(const BundleSpec& spec, const std::filesystem::path& root);
  const std::vector<ArtifactFile>& of(std::size_t artifact) const { return files_[artifact]; }
  /// A program of the node payload ("bin/<name>"), if the specification has it.
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

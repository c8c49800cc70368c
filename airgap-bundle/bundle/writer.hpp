#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "airgap-bundle/bundle/format.hpp"
#include "core/file.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::bundle {

/// Digest and size of something that is in the bundle now.
struct Descriptor {
  Digest digest;
  std::uint64_t size = 0;
};

/// Writes a bundle once, front to back, into a temporary file beside its final place: room for the
/// header first, then blobs, then index.json, and last of all the signed header. Nothing is written
/// twice and nothing is kept in memory, so the disk needs the size of the bundle and no more.
/// A writer that is dropped or killed leaves nothing at the final path.
class Writer {
 public:
  /// `most_entries` bounds the number of blobs, `name_bytes` the JSON of all images and artifacts;
  /// room for both, and 8 KiB, is reserved in the header.
  static Result<Writer> create(const std::filesystem::path& path, std::size_t most_entries,
                               std::size_t name_bytes = 0);

  /// A blob that is in memory. One that is there already is not written again.
  Result<Descriptor> add(std::string_view content);

  /// A blob whose size and digest are known: `fill` must give exactly these bytes, in order.
  /// ErrorKind::corrupt when they are others; the bundle is then not finished.
  using Sink = std::function<Result<void>(std::span<const std::byte>)>;
  using Fill = std::function<Result<void>(const Sink&)>;
  Result<void> add_known(const Descriptor& wanted, const Fill& fill);

  /// A blob that becomes known as it is made (a compressed layer).
  Result<Descriptor> add_stream(const Fill& fill);

  bool has(const Digest& digest) const { return header_.find(digest) != nullptr; }
  std::uint64_t position() const { return end_; }

  /// Names an image or artifact whose manifest was added.
  void name_image(ImageEntry image) { header_.images.push_back(std::move(image)); }
  void name_artifact(ArtifactEntry artifact) { header_.artifacts.push_back(std::move(artifact)); }
  void name_chart(ChartEntry chart) { header_.charts.push_back(std::move(chart)); }
  void allow_missing(AllowanceEntry item) { header_.allowances.push_back(std::move(item)); }
  const Header& header() const { return header_; }

  /// Writes oci-layout and index.json, then signs the header and puts the file in its place.
  Result<void> finish(std::string_view index_json, std::string name, std::string version,
                      WallTime created_at, const PrivateKey& key);

 private:
  explicit Writer(AtomicFile file) : file_(std::move(file)) {}
  Result<void> append(std::string path, std::string_view content);
  Result<void> end_entry(std::string path, const Digest& digest, std::uint64_t size);

  AtomicFile file_;
  Header header_;
  std::uint64_t reserved_ = 0;  ///< content size of the header's entry
  std::uint64_t end_ = 0;       ///< where the next tar header goes
};

}  // namespace bedplate::bundle

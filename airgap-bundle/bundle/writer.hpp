#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/bundle/format.hpp"
#include "airgap-bundle/bundle/partial.hpp"
#include "core/result.hpp"

namespace bedplate::bundle {

/// Digest and size of something that is in the bundle.
struct Descriptor {
  Digest digest;
  std::uint64_t size = 0;
};

/// Writes a bundle into `<path>.partial`: room for the header first, then the blobs that are known
/// from the start, each at its final place and in any order; then blobs that become known as they
/// are made, front to back; then index.json, and last of all the signed header. Nothing is written
/// twice and nothing is kept in memory, so the disk needs the size of the bundle and no more.
///
/// Nothing is seen at the final path before finish(). A writer that is dropped or killed leaves its
/// known blobs in the partial file, and the next one for the same path and blobs continues them.
class Writer {
 public:
  /// `known`: blobs to be laid out now; the same one twice is one. `most_others` bounds the number
  /// of other entries, `name_bytes` the JSON of all images and artifacts; room for both, and 8 KiB,
  /// is reserved in the header. `have`: what a base has. Of that, known and streamed blobs are left
  /// out, and said to be elsewhere; what is added from memory (manifests, configurations) is small
  /// and always there. ErrorKind::conflict when another process writes this bundle.
  static Result<Writer> create(const std::filesystem::path& path, std::size_t most_others,
                               std::size_t name_bytes = 0, std::span<const Descriptor> known = {},
                               BlobSizes have = {});

  /// Bytes on the disk that create() would go on with, called like it. Changes nothing.
  static std::uint64_t bytes_here(const std::filesystem::path& path, std::size_t most_others,
                                  std::size_t name_bytes, std::span<const Descriptor> known,
                                  const BlobSizes& have);

  using Sink = std::function<Result<void>(std::span<const std::byte>)>;
  using Fill = std::function<Result<void>(const Sink&)>;
  /// Gives the bytes of a blob from `from` on.
  using FillFrom = std::function<Result<void>(std::uint64_t from, const Sink&)>;

  /// How many known blobs there are, in the order in which they were given.
  std::size_t known_count() const { return placed_.size(); }
  const Placed& known(std::size_t index) const { return placed_[index]; }
  /// Bytes of known blobs that an earlier run has written.
  std::uint64_t continued() const { return continued_; }

  /// Makes known blob `index` complete: checks what an earlier run left of it, and asks `fill` for
  /// the rest. May be called by several threads for different blobs. ErrorKind::corrupt when the
  /// bytes are not what the digest says; what was written of it then counts as nothing.
  Result<void> complete(std::size_t index, const FillFrom& fill);

  /// A blob that is in memory. One that is there already is not written again.
  Result<Descriptor> add(std::string_view content);
  /// A blob that becomes known as it is made (a compressed layer).
  Result<Descriptor> add_stream(const Fill& fill);

  /// Here or elsewhere.
  bool has(const Digest& digest) const;
  /// Of the partial file.
  int fd() const { return file_.fd(); }

  /// Names an image or artifact whose manifest was added.
  void name_image(ImageEntry image) { header_.images.push_back(std::move(image)); }
  void name_artifact(ArtifactEntry artifact) { header_.artifacts.push_back(std::move(artifact)); }
  void name_chart(ChartEntry chart) { header_.charts.push_back(std::move(chart)); }
  void name_referrer(ReferrerEntry item) { header_.referrers.push_back(std::move(item)); }
  void allow_missing(AllowanceEntry item) { header_.allowances.push_back(std::move(item)); }
  /// Says everything that `names` says besides its entries: a differential bundle of a bundle that
  /// exists. `complete` is the blob with that bundle's signed header.
  void describe(Header names, const Digest& complete);
  const Header& header() const { return header_; }

  /// Writes oci-layout and index.json, then signs the header and puts the file in its place. With
  /// blobs elsewhere, the header of the complete bundle is signed too, and put into this one.
  /// ErrorKind::internal when a known blob is not complete.
  Result<void> finish(std::string_view index_json, std::string name, std::string version,
                      WallTime created_at, const PrivateKey& key);

  /// Bytes of the header's entry for that many entries and names.
  static std::uint64_t reserved_for(std::size_t entries, std::size_t name_bytes);

 private:
  explicit Writer(PartialFile file) : file_(std::move(file)) {}
  Result<void> append(std::string path, std::string_view content);
  bool leave_out(const Descriptor& blob);
  Result<std::string> signed_header(const Header& header, const PrivateKey& key) const;
  Result<void> add_complete_header(std::string_view index_json, const PrivateKey& key);
  Result<void> end_entry(std::string path, const Digest& digest, std::uint64_t size);
  Result<std::uint64_t> check_written(const Placed& blob, std::uint64_t claimed, Sha256& hash);
  Result<bool> write_rest(std::size_t index, std::uint64_t from, Sha256 hash, const FillFrom& fill);

  PartialFile file_;
  UniqueFd direct_;  ///< the same file past the page cache; may be missing
  Header header_;
  BlobSizes have_;
  std::set<Digest> elsewhere_;  ///< of header_.elsewhere
  std::vector<Placed> placed_;
  std::vector<char> complete_;  ///< by known blob; not bool, since threads set different ones
  std::uint64_t continued_ = 0;
  std::uint64_t reserved_ = 0;  ///< content size of the header's entry
  std::uint64_t end_ = 0;       ///< where the next tar header goes
};

}  // namespace bedplate::bundle

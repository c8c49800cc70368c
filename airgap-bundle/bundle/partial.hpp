#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/result.hpp"

namespace bedplate::bundle {

/// A blob with its place in a file that is being made.
struct Placed {
  Digest digest;
  std::uint64_t size = 0;    ///< bytes
  std::uint64_t offset = 0;  ///< of the content in the file
};

/// A bundle while it is being made: `<path>.partial`, with `<path>.partial.state` beside it, which
/// says how much of each placed blob has been written. Both stay when the process is killed, and
/// the next one goes on from there. The state is a hint: after a power cut it may promise more than
/// the disk holds, so whoever continues a blob first compares what is there with what it must
/// become.
class PartialFile {
 public:
  /// What lies beside `path` from an earlier run.
  enum class Earlier {
    nothing,
    same,   ///< of the same blobs at the same places: open() goes on with it
    other,  ///< of others: open() keeps it aside
  };
  static Earlier earlier(const std::filesystem::path& path, const std::vector<Placed>& blobs);
  /// Bytes on the disk that open() goes on with.
  static std::uint64_t bytes_here(const std::filesystem::path& path,
                                  const std::vector<Placed>& blobs);

  /// Continues the one beside `path` when it has the same blobs at the same places, else begins a
  /// new one; one with other blobs is kept aside until the new one is finished (leftover()).
  /// ErrorKind::conflict when another process is making the same bundle.
  static Result<PartialFile> open(const std::filesystem::path& path,
                                  const std::vector<Placed>& blobs);
  PartialFile(PartialFile&& other) noexcept;
  PartialFile& operator=(PartialFile&&) = delete;
  /// Removes the files when nothing in them is worth continuing.
  ~PartialFile();

  int fd() const { return fd_.get(); }
  /// Bytes of blob `index` that were written, from its beginning. Thread-safe for different blobs.
  std::uint64_t written(std::size_t index) const;
  void set_written(std::size_t index, std::uint64_t bytes);
  /// Bytes that all placed blobs together have.
  std::uint64_t total_written() const;

  /// fsync, rename to `path`, fsync of the folder; the state and what was kept aside are removed.
  Result<void> commit();

  /// What an earlier run had of another layout.
  struct Leftover {
    UniqueFd fd;
    std::vector<Placed> blobs;  ///< that were complete, as far as the state says
  };
  /// Empty when there is none.
  static Leftover leftover(const std::filesystem::path& path);

 private:
  PartialFile() = default;
  Result<void> map_state(const std::string& state, std::size_t count);
  Result<void> believe_the_disk(const std::vector<Placed>& blobs);

  std::filesystem::path path_;
  UniqueFd fd_;
  UniqueFd state_fd_;
  std::byte* map_ = nullptr;
  std::size_t map_size_ = 0;
  std::uint64_t* table_ = nullptr;  ///< in the mapping: survives a kill without a system call
  std::size_t count_ = 0;
};

}  // namespace bedplate::bundle

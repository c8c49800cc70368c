#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "airgap-bundle/bundle/partial.hpp"
#include "airgap-bundle/bundle/reader.hpp"
#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/result.hpp"
#include "core/signature.hpp"

namespace bedplate::collect {

/// Blobs that are on this machine already, so that nothing is fetched twice: in the bundle that is
/// being replaced, in what an interrupted run left, in other bundles, in the cache. None of them is
/// trusted: whoever copies compares digests. find() and keep() are thread-safe.
class Reuse {
 public:
  /// What an interrupted run for `output` left of another layout.
  void add_leftover(const std::filesystem::path& output);
  /// A bundle of ours. One that cannot be opened is passed over.
  void add_bundle(const std::filesystem::path& path, const PublicKey& key);
  /// A folder of blobs by digest; made when something is kept.
  void set_cache(std::filesystem::path folder) { cache_ = std::move(folder); }

  struct Found {
    int fd = -1;
    std::uint64_t offset = 0;
    bool passing = false;  ///< may be given back to the file system once it is copied
    UniqueFd own;          ///< keeps a file of the cache open
  };
  std::optional<Found> find(const Digest& digest, std::uint64_t size) const;

  /// Copies a complete blob to the cache, if there is one. What fails here fails nothing else.
  void keep(const Digest& digest, std::uint64_t size, int fd, std::uint64_t offset) const;

 private:
  struct Place {
    int fd = -1;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    bool passing = false;
  };
  std::map<Digest, Place> places_;
  std::vector<UniqueFd> files_;
  std::vector<std::unique_ptr<bundle::Reader>> bundles_;
  std::filesystem::path cache_;
};

/// Where blobs are kept unless somebody says otherwise: cache_directory() + "/blobs/sha256".
std::filesystem::path default_blob_cache();

struct Collected {
  std::uint64_t kept = 0;     ///< bytes
  std::uint64_t removed = 0;  ///< bytes
  std::size_t removed_files = 0;
};

/// Removes the blobs and the downloads that broke off that were not used for longest, until `most`
/// bytes are left, and what killed runs left unfinished. A download that goes on is left alone. A
/// missing folder is an empty cache. May run beside a create: a file that is open stays readable.
Result<Collected> collect_garbage(const std::filesystem::path& cache, std::uint64_t most);

}  // namespace bedplate::collect

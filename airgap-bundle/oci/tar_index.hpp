#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "core/file.hpp"
#include "core/result.hpp"

namespace bedplate::oci {

/// Where the files of an uncompressed tar archive lie, so that they can be read in any order
/// without unpacking. Knows ustar, pax (path, linkpath, size) and GNU long names and sizes.
class TarIndex {
 public:
  struct Member {
    std::uint64_t offset = 0;  ///< of the content
    std::uint64_t size = 0;
  };

  /// One pass over the headers. ErrorKind::corrupt when it is no tar archive or ends too early;
  /// unsupported, with the command to run first, when it is compressed.
  static Result<TarIndex> read(const std::filesystem::path& path);

  /// The regular file of that path, through links inside the archive; ErrorKind::not_found.
  Result<Member> find(std::string_view path) const;
  bool contains(std::string_view path) const { return find(path).has_value(); }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::map<std::string, Member, std::less<>> files_;
  std::map<std::string, std::string, std::less<>> links_;  ///< path → path in the archive
};

}  // namespace bedplate::oci

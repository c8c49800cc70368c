#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "airgap-bundle/bundle/content.hpp"
#include "airgap-bundle/bundle/part.hpp"
#include "core/file.hpp"
#include "core/progress.hpp"
#include "core/result.hpp"

namespace bedplate::sets {

struct Part {
  std::filesystem::path path;
  UniqueFd fd;
  bundle::PartHeader header;
};

/// "site.bundle.03of12".
std::string part_name(const std::string& bundle, std::uint32_t number, std::uint32_t count);
/// Whether the file begins as a part does; a file that cannot be read does not.
bool is_part(const std::filesystem::path& path);
/// Opens one part: its header is whole and the file as long as that says. ErrorKind::corrupt.
Result<Part> open_part(const std::filesystem::path& path);
/// Whether the content is what it was when the bundle was split: ErrorKind::corrupt. Finds
/// accidents, not forgery.
Result<void> check_part(const Part& part, Progress* progress);

/// Parts of one bundle, all or some of them.
class PartSet {
 public:
  /// In any order. All files that do not belong are named in one error: ErrorKind::corrupt for one
  /// that is damaged or cut off, invalid for one of another set or for the same part twice.
  static Result<PartSet> open(const std::vector<std::filesystem::path>& files);

  const std::vector<Part>& parts() const { return parts_; }  ///< by number
  const bundle::PartLayout& layout() const { return parts_.front().header.layout; }
  const Digest& digest() const { return parts_.front().header.set; }
  const Part* find(std::uint32_t number) const;
  std::vector<std::uint32_t> missing() const;
  /// Reads the bundle across the parts; ErrorKind::not_found where one is missing. The set must
  /// outlive it.
  bundle::ReadAt reader() const;
  /// Of the bundle, out of part 1; ErrorKind::not_found without it, corrupt when the parts were
  /// made of another bundle than it says.
  Result<bundle::SignedHeader> header(std::span<const PublicKey> trusted) const;
  /// Every byte, without joining, on all processors. ErrorKind::not_found names what is missing,
  /// after the others were checked by themselves; corrupt names each part that is damaged.
  Result<bundle::SignedHeader> verify(std::span<const PublicKey> trusted, Progress* progress) const;

 private:
  Result<void> read(std::span<std::byte> out, std::uint64_t offset) const;
  std::vector<Part> parts_;
};

/// Checks every part by itself, several at once. ErrorKind::corrupt names all that are damaged.
Result<void> check_parts(const std::vector<const Part*>& parts, Progress* progress);
/// "parts 2, 5 and 6 of 7".
std::string part_list(const std::vector<std::uint32_t>& numbers, std::uint32_t count);

}  // namespace bedplate::sets

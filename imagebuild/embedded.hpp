#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace bedplate::image {

/// A file of imagebuild/files, compiled into the program.
struct EmbeddedFile {
  std::string_view path;  ///< relative to imagebuild/files
  std::string_view content;
};

/// All of them, sorted by path. Generated at build time.
std::span<const EmbeddedFile> embedded_files();

/// Content of one; ErrorKind::internal when it was not compiled in.
Result<std::string_view> embedded(std::string_view path);

/// Those below `folder` ("root/"), with the rest of their path.
std::vector<EmbeddedFile> embedded_below(std::string_view folder);

/// 0755 for scripts ("#!"), 0644 for everything else: the repository's modes are not compiled in.
unsigned mode_of(const EmbeddedFile& file);

/// Lines without comments ("# …" on a line of its own) and blanks.
std::vector<std::string> parse_list(std::string_view text);

/// A symbolic link of the image.
struct Link {
  std::string path;    ///< absolute in the image
  std::string target;  ///< as stored in the link
  friend bool operator==(const Link&, const Link&) = default;
};
/// Lines "path target"; ErrorKind::internal for anything else.
Result<std::vector<Link>> parse_links(std::string_view text);

/// Replaces each `@NAME@` by its value and drops the comment lines at the top, which explain the
/// template. ErrorKind::internal when a marker has no value or a value is not used: a boot
/// configuration with a hole in it must not be written.
struct Marker {
  std::string_view name;
  std::string value;
};
Result<std::string> render(std::string_view text, const std::vector<Marker>& markers);

}  // namespace bedplate::image

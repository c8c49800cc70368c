#include "imagebuild/embedded.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace bedplate::image {

Result<std::string_view> embedded(std::string_view path) {
  for (const auto& file : embedded_files()) {
    if (file.path == path) return file.content;
  }
  return fail(ErrorKind::internal, fmt::format("file {} was not compiled in", path));
}

std::vector<EmbeddedFile> embedded_below(std::string_view folder) {
  std::vector<EmbeddedFile> below;
  for (const auto& file : embedded_files()) {
    if (file.path.starts_with(folder)) {
      below.push_back({file.path.substr(folder.size()), file.content});
    }
  }
  return below;
}

unsigned mode_of(const EmbeddedFile& file) {
  return file.content.starts_with("#!") ? 0755 : 0644;
}

std::vector<std::string> parse_list(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line.empty() && line.front() != '#') lines.emplace_back(line);
  }
  return lines;
}

Result<std::vector<Link>> parse_links(std::string_view text) {
  std::vector<Link> links;
  for (const auto& line : parse_list(text)) {
    const auto space = line.find(' ');
    if (!line.starts_with('/') || space == std::string::npos ||
        line.find(' ', space + 1) != std::string::npos || space + 1 == line.size()) {
      return fail(ErrorKind::internal, fmt::format("not a link: '{}'", line));
    }
    links.push_back({line.substr(0, space), line.substr(space + 1)});
  }
  return links;
}

namespace {

/// Length of the marker at the start of `text` ("@NAME@"), 0 when there is none.
std::size_t marker_length(std::string_view text) {
  const auto end = text.find('@', 1);
  if (end == std::string_view::npos || end == 1) return 0;
  const auto name = text.substr(1, end - 1);
  const bool upper = std::ranges::all_of(
      name, [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; });
  return upper ? end + 1 : 0;
}

/// The text without its leading comment lines, which may name markers without meaning them.
std::string_view skip_header(std::string_view text) {
  while (text.starts_with('#')) {
    const auto end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return text;
}

}  // namespace

Result<std::string> render(std::string_view text, const std::vector<Marker>& markers) {
  std::string out;
  std::vector<bool> used(markers.size(), false);
  text = skip_header(text);
  while (!text.empty()) {
    const auto at = std::min(text.find('@'), text.size());
    out.append(text.substr(0, at));
    text.remove_prefix(at);
    if (text.empty()) break;
    const auto length = marker_length(text);
    if (length == 0) {
      out += '@';
      text.remove_prefix(1);
      continue;
    }
    const auto name = text.substr(1, length - 2);
    const auto found = std::ranges::find(markers, name, &Marker::name);
    if (found == markers.end()) {
      return fail(ErrorKind::internal, fmt::format("nothing to put in place of @{}@", name));
    }
    used[static_cast<std::size_t>(found - markers.begin())] = true;
    out += found->value;
    text.remove_prefix(length);
  }
  for (std::size_t i = 0; i < markers.size(); ++i) {
    if (!used[i]) {
      return fail(ErrorKind::internal, fmt::format("@{}@ is nowhere in it", markers[i].name));
    }
  }
  return out;
}

}  // namespace bedplate::image

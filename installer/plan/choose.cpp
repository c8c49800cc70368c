#include "installer/plan/choose.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/progress.hpp"

namespace bedplate::installer {
namespace {

std::string fold(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// "eui.…", "naa.…" and "0x…" name the same number in different places.
std::string bare_wwn(std::string_view text) {
  auto out = fold(text);
  for (const std::string_view prefix : {"eui.", "naa.", "uuid.", "0x"}) {
    if (out.starts_with(prefix)) return out.substr(prefix.size());
  }
  return out;
}

std::string or_none(std::string_view text) {
  return text.empty() ? "none" : fmt::format("'{}'", text);
}

bool path_matches(const ProbedDisk& disk, std::string_view path) {
  return disk.node == path || std::ranges::find(disk.links, path) != disk.links.end();
}

/// Why the selector does not fit this disk; empty when it does.
std::string mismatch(const DiskSelector& selector, const ProbedDisk& disk) {
  std::vector<std::string> out;
  if (selector.serial && disk.serial != *selector.serial) {
    out.push_back(
        fmt::format("its serial is {}, wanted '{}'", or_none(disk.serial), *selector.serial));
  }
  if (selector.model && fold(disk.model) != fold(*selector.model)) {
    out.push_back(
        fmt::format("its model is {}, wanted '{}'", or_none(disk.model), *selector.model));
  }
  if (selector.wwn && bare_wwn(disk.wwn) != bare_wwn(*selector.wwn)) {
    out.push_back(fmt::format("its wwn is {}, wanted '{}'", or_none(disk.wwn), *selector.wwn));
  }
  if (selector.path && !path_matches(disk, *selector.path)) {
    out.push_back(fmt::format("it is not {}", *selector.path));
  }
  if (selector.min_size && disk.size < *selector.min_size) {
    out.push_back(fmt::format("it has {}, minSize is {}", format_bytes(disk.size),
                              format_bytes(*selector.min_size)));
  }
  if (selector.max_size && disk.size > *selector.max_size) {
    out.push_back(fmt::format("it has {}, maxSize is {}", format_bytes(disk.size),
                              format_bytes(*selector.max_size)));
  }
  return fmt::format("{}", fmt::join(out, "; "));
}

/// Why this disk is never a target, whatever the selector says; empty when it could be one.
std::string exclusion(const ProbedDisk& disk, std::uint64_t minimum_size) {
  if (disk.boot_medium) return "it is a Bedplate medium";
  if (disk.read_only) return "it is read-only";
  if (disk.size < minimum_size) {
    return fmt::format("it is too small: at least {} are needed", format_bytes(minimum_size));
  }
  return {};
}

std::string selector_text(const DiskSelector& selector) {
  std::vector<std::string> out;
  if (selector.serial) out.push_back(fmt::format("serial '{}'", *selector.serial));
  if (selector.model) out.push_back(fmt::format("model '{}'", *selector.model));
  if (selector.wwn) out.push_back(fmt::format("wwn '{}'", *selector.wwn));
  if (selector.path) out.push_back(fmt::format("path {}", *selector.path));
  if (selector.min_size) out.push_back("minSize " + format_bytes(*selector.min_size));
  if (selector.max_size) out.push_back("maxSize " + format_bytes(*selector.max_size));
  return out.empty() ? "any disk" : fmt::format("{}", fmt::join(out, ", "));
}

}  // namespace

Result<const ProbedDisk*> choose_disk(const SiteNode& node, const ProbedHost& host,
                                      std::uint64_t minimum_size) {
  std::vector<const ProbedDisk*> candidates;
  std::string refused;
  for (const auto& disk : host.disks) {
    auto why = exclusion(disk, minimum_size);
    if (why.empty()) why = mismatch(node.disk, disk);
    if (why.empty()) {
      candidates.push_back(&disk);
    } else {
      refused += fmt::format("\n  {}\n    no: {}", disk.summary(), why);
    }
  }
  if (candidates.size() == 1) return candidates.front();
  if (candidates.empty()) {
    return fail(ErrorKind::not_found,
                fmt::format("no disk fits node '{}' (the site file wants {}){}", node.name,
                            selector_text(node.disk),
                            host.disks.empty() ? ": this machine shows no disk at all" : refused),
                host.disks.empty()
                    ? "check that the disk controller is enabled in the firmware setup"
                    : fmt::format("correct nodes[{}].disk in the site file and make the medium "
                                  "again with: bedplate image iso",
                                  node.name));
  }
  std::string list;
  for (const auto* disk : candidates) list += "\n  " + disk->summary();
  return fail(
      ErrorKind::ambiguous,
      fmt::format("{} disks fit node '{}' (the site file wants {}){}", candidates.size(), node.name,
                  selector_text(node.disk), list),
      fmt::format("name one of them by its serial in nodes[{}].disk of the site file", node.name));
}

}  // namespace bedplate::installer

#include "airgap-bundle/oci/reference.hpp"

#include <algorithm>
#include <regex>

#include <fmt/format.h>

namespace bedplate::oci {
namespace {

std::unexpected<Error> bad(std::string_view text, std::string_view why) {
  return fail(ErrorKind::invalid,
              fmt::format("'{}' is not a full image reference: {}", text.substr(0, 300), why),
              "write it as registry/repository:tag, such as docker.io/library/busybox:1.36");
}

// Compiled once: a chart's output has thousands of words that might be references.
const std::regex& tag_pattern() {
  static const std::regex pattern("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}");
  return pattern;
}
const std::regex& host_pattern() {
  static const std::regex pattern("[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?");
  return pattern;
}
const std::regex& repository_pattern() {
  static const std::regex pattern("[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*");
  return pattern;
}

}  // namespace

Result<Reference> Reference::parse(std::string_view text) {
  if (text.size() > 512) return bad(text, "longer than 512 characters");
  Reference out;
  auto rest = text;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    auto digest = Digest::parse(rest.substr(at + 1));
    if (!digest) return bad(text, digest.error().what);
    out.digest = *digest;
    rest = rest.substr(0, at);
  }
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos) return bad(text, "the registry is missing");
  out.registry = rest.substr(0, slash);
  rest = rest.substr(slash + 1);
  if (const auto colon = rest.rfind(':'); colon != std::string_view::npos) {
    out.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!std::regex_match(out.tag, tag_pattern())) return bad(text, "the tag is wrong");
  }
  out.repository = rest;
  const bool host =
      out.registry.find_first_of(".:") != std::string::npos || out.registry == "localhost";
  if (!host || !std::regex_match(out.registry, host_pattern())) {
    return bad(text, fmt::format("'{}' is not a registry's host name", out.registry));
  }
  if (!std::regex_match(out.repository, repository_pattern())) {
    return bad(text, "the repository is wrong");
  }
  if (out.tag.empty() && !out.digest) return bad(text, "it has neither tag nor digest");
  if (out.registry == docker_hub_of_old) out.registry = docker_hub;
  if (out.registry == docker_hub && out.repository.find('/') == std::string::npos) {
    out.repository.insert(0, "library/");
  }
  return out;
}

std::string Reference::str() const {
  std::string out = registry + "/" + repository;
  if (!tag.empty()) out += ":" + tag;
  if (digest) out += "@" + digest->str();
  return out;
}

}  // namespace bedplate::oci

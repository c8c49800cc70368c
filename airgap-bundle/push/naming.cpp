#include "airgap-bundle/push/naming.hpp"

#include <algorithm>
#include <regex>

#include <fmt/format.h>

#include "core/text.hpp"

namespace bedplate::push {
namespace {

/// A tag has no '+': Helm writes '_' for it.
std::string tag_of(std::string version) {
  std::ranges::replace(version, '+', '_');
  return version;
}

/// A registry's name as one component of a repository's, which has no colon.
std::string component_of(const std::string& registry) {
  auto out = lower(registry);
  std::ranges::replace(out, ':', '_');
  return out;
}

}  // namespace

Result<Target> Target::parse(std::string_view text) {
  const auto bad = [&](std::string why) {
    return fail(ErrorKind::usage, fmt::format("--to {}: {}", text.substr(0, 300), why),
                "write HOST[:PORT][/PREFIX], such as harbor.site.example/k8s");
  };
  if (text.find("://") != std::string_view::npos) {
    return bad("without http:// or https:// (--plain-http is for registries without TLS)");
  }
  while (text.ends_with('/')) text.remove_suffix(1);
  Target out;
  const auto slash = text.find('/');
  out.registry = text.substr(0, slash);
  if (slash != std::string_view::npos) out.prefix = text.substr(slash + 1);
  static const std::regex host("[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?");
  static const std::regex path(
      "[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*");  // distribution's grammar
  if (out.registry.size() > 300 || !std::regex_match(out.registry, host)) {
    return bad("that is not a registry's host name");
  }
  if (out.prefix.size() > 200) return bad("the prefix is longer than 200 characters");
  if (!out.prefix.empty() && !std::regex_match(out.prefix, path)) {
    return bad("the prefix has other characters than a-z, 0-9, '.', '_', '-' and '/'");
  }
  return out;
}

std::string Target::str() const {
  return prefix.empty() ? registry : registry + "/" + prefix;
}

std::string Target::under_prefix(const std::string& repository) const {
  return prefix.empty() ? repository : prefix + "/" + repository;
}

std::string Target::repository(const std::string& name) const {
  const auto slash = name.find('/');
  if (slash == std::string::npos) return under_prefix(name);
  const auto own = name.substr(slash + 1);
  return under_prefix(keep_registry ? component_of(name.substr(0, slash)) + "/" + own : own);
}

oci::Reference Target::image(const oci::Reference& name) const {
  return {registry, repository(name.registry + "/" + name.repository), name.tag, name.digest};
}

oci::Reference Target::chart(const std::string& name, const std::string& version) const {
  return {registry, under_prefix("charts/" + name), tag_of(version), std::nullopt};
}

oci::Reference Target::artifact(const std::string& name, const std::string& version) const {
  return {registry, under_prefix("artifacts/" + name), tag_of(version), std::nullopt};
}

}  // namespace bedplate::push

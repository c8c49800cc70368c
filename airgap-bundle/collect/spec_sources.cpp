// Of the specification: files by URL, Debian packages, catalogs.

#include <algorithm>

#include <fmt/format.h>

#include "airgap-bundle/bundle/extract.hpp"
#include "airgap-bundle/collect/spec_nodes.hpp"
#include "core/net.hpp"
#include "core/text.hpp"

namespace bedplate::collect {
namespace {

constexpr std::string_view debian_mirror = "http://deb.debian.org/debian";
constexpr std::string_view debian_security = "http://deb.debian.org/debian-security";
constexpr std::string_view debian_keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

std::optional<unsigned> parse_mode(const YamlNode& node) {
  if (!node.present()) return std::nullopt;
  const auto mode = parse_unsigned<unsigned>(node.string(false), 8);
  if (mode && *mode <= 0777) return mode;
  node.finding("must be permission bits in octal, such as \"0755\"");
  return std::nullopt;
}

void parse_url(const YamlNode& node, FileSpec& file) {
  file.url = node["url"].string(false);
  if (host_of(file.url).empty()) {
    node["url"].finding("must be of the form https://HOST/PATH, without user and password");
  }
  if (!node["digest"].present()) return;
  if (auto digest = Digest::parse(node["digest"].string(false))) {
    file.digest = *digest;
  } else {
    node["digest"].finding(digest.error().what);
  }
}

/// A mirror's address, without slashes at its end.
std::string parse_mirror(const YamlNode& node, std::string_view fallback) {
  auto text = node.string(false, fallback);
  while (text.ends_with('/')) text.pop_back();
  if (host_of(text + "/").empty()) {
    node.finding("must be of the form http(s)://HOST/PATH, without user and password");
  }
  return text;
}

/// Debian policy 5.6.1, and what follows an equals sign; no option may slip in among apt's
/// arguments.
void check_package_names(const YamlNode& node, const std::vector<std::string>& names) {
  for (const auto& name : names) {
    const auto good = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    };
    const auto bare = name.substr(0, name.find('='));
    const auto rest = name.substr(bare.size());
    const bool fine = bare.size() >= 2 && std::ranges::all_of(bare, good) && bare.front() != '-' &&
                      bare.front() != '+' && bare.front() != '.' && !bare.ends_with('-') &&
                      rest != "=" && rest.find_first_of(" \t\r\n*?/\"'\\") == std::string::npos;
    if (!fine) node.finding(fmt::format("'{}' is no package, nor PACKAGE=VERSION", name));
  }
}

void parse_base(const YamlNode& node, PackagesSpec& out) {
  if (node["installed"].present()) {
    out.base = PackageBase::installed;
    out.installed = node["installed"].string();
    if (node["base"].present()) node["base"].finding("must not stand beside 'installed'");
    if (out.architectures.size() > 1) {
      node["installed"].finding("is of one machine: name one architecture");
    }
    return;
  }
  if (node["base"].is_list()) {
    out.base = PackageBase::list;
    out.base_packages = node["base"].strings();
    check_package_names(node["base"], out.base_packages);
    return;
  }
  const auto word = node["base"].choice({"minbase", "none"}, false, "minbase");
  out.base = word == "none" ? PackageBase::none : PackageBase::minbase;
}

PackagesSpec parse_packages(const YamlNode& node) {
  PackagesSpec out;
  out.line = node.line();
  node.expect_map({"name", "version", "distribution", "suite", "components", "mirror",
                   "securityMirror", "updates", "keyring", "packages", "base", "installed",
                   "architectures", "recommends"});
  if (!node.is_map()) return out;
  out.name = node["name"].string();
  if (node["name"].present() && !is_dns_label(out.name)) {
    node["name"].finding("must be lower-case letters, digits and hyphens");
  }
  out.version = node["version"].string(false);
  (void)node["distribution"].choice({"debian"}, false, "debian");
  out.suite = node["suite"].choice({"bookworm", "trixie"}, true);
  out.components = node["components"].strings();
  if (out.components.empty()) out.components = {"main"};
  out.mirror = parse_mirror(node["mirror"], debian_mirror);
  if (node["securityMirror"].string(false) != "none") {
    out.security_mirror = parse_mirror(node["securityMirror"], debian_security);
  }
  out.updates = node["updates"].boolean(true);
  out.keyring = node["keyring"].string(false, debian_keyring);
  out.packages = node["packages"].strings();
  if (out.packages.empty()) node["packages"].finding("must list at least one package");
  check_package_names(node["packages"], out.packages);
  out.architectures = node["architectures"].strings();
  if (out.architectures.empty()) out.architectures = {"amd64"};
  for (const auto& word : out.components) {
    if (!is_dns_label(word)) node["components"].finding("'" + word + "' is no component");
  }
  for (const auto& word : out.architectures) {
    if (!is_dns_label(word)) node["architectures"].finding("'" + word + "' is no architecture");
  }
  out.recommends = node["recommends"].boolean(false);
  parse_base(node, out);
  return out;
}

CatalogSpec parse_catalog(const YamlNode& node) {
  CatalogSpec out;
  out.line = node.line();
  node.expect_map({"path", "profile", "components"});
  if (!node.is_map()) return out;
  out.path = node["path"].string(false, "manifests");
  out.profile = node["profile"].string(false);
  out.components = node["components"].strings();
  if (out.components.empty()) node["components"].finding("must list at least one component");
  for (const auto& name : out.components) {
    if (!is_dns_label(name)) node["components"].finding("'" + name + "' is no component's name");
  }
  return out;
}

}  // namespace

std::string host_of(std::string_view url) {
  const auto scheme = url.starts_with("https://")  ? std::string_view("https://")
                      : url.starts_with("http://") ? std::string_view("http://")
                                                   : std::string_view();
  const bool printable = std::ranges::all_of(url, [](char c) { return c > ' ' && c < 0x7f; });
  if (scheme.empty() || !printable) return {};
  url.remove_prefix(scheme.size());
  const auto host = url.substr(0, url.find_first_of("/?#"));
  if (host.size() == url.size() || host.find('@') != std::string_view::npos) return {};
  return std::string(host);
}

FileSpec parse_file(const YamlNode& node) {
  FileSpec file;
  file.line = node.line();
  node.expect_map({"path", "to", "url", "digest", "mode", "plainHTTP"});
  if (!node.is_map()) return file;
  file.to = node["to"].string();
  if (node["to"].present() && !bundle::is_contained(file.to)) {
    node["to"].finding("must be a path below the artifact, without '..'");
  }
  file.mode = parse_mode(node["mode"]);
  file.plain_http = node["plainHTTP"].boolean(false);
  if (node["url"].present()) {
    parse_url(node, file);
    if (node["path"].present()) node["path"].finding("must not stand beside 'url'");
    return file;
  }
  file.path = node["path"].string();
  for (const auto* key : {"digest", "plainHTTP"}) {
    if (node[key].present()) node[key].finding("belongs to 'url'");
  }
  return file;
}

void check_plain_http(const YamlNode& root, BundleSpec& spec) {
  const auto artifacts = root["files"].list();
  for (std::size_t i = 0; i < std::min(artifacts.size(), spec.files.size()); ++i) {
    if (!artifacts[i].is_map()) continue;
    const auto nodes = artifacts[i]["files"].list();
    for (std::size_t k = 0; k < std::min(nodes.size(), spec.files[i].files.size()); ++k) {
      auto& file = spec.files[i].files[k];
      if (!file.url.starts_with("http://")) continue;
      const auto host = host_of(file.url);
      file.plain_http |= std::ranges::any_of(spec.registries, [&](const RegistrySpec& registry) {
        return registry.host == host && registry.plain_http;
      });
      if (!file.plain_http) {
        nodes[k]["url"].finding(
            "is without TLS: use https://, or set plainHTTP: true here or for the host under "
            "registries");
      }
    }
  }
}

void parse_packages_and_catalogs(const YamlNode& root, BundleSpec& spec) {
  for (const auto& item : root["packages"].list()) {
    auto packages = parse_packages(item);
    const auto same = std::ranges::find(spec.packages, packages.name, &PackagesSpec::name);
    if (same != spec.packages.end() && !packages.name.empty()) {
      item["name"].finding("packages " + packages.name + " are listed twice");
    }
    spec.packages.push_back(std::move(packages));
  }
  for (const auto& item : root["catalog"].list()) spec.catalogs.push_back(parse_catalog(item));
}

}  // namespace bedplate::collect

#include "airgap-bundle/collect/packages.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "airgap-bundle/bundle/extract.hpp"
#include "airgap-bundle/collect/apt.hpp"
#include "core/file.hpp"

namespace bedplate::collect {
namespace {

namespace fs = std::filesystem;

auto order_of(const LockedPackage& package) {
  return std::tie(package.name, package.version, package.architecture, package.path);
}

std::string url_encoded(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string url_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      if (const auto byte = hex_decode(text.substr(i + 1, 2))) {
        out += *byte;
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

Result<LockedPackage> lock_package(const PackagesSpec& spec, const AptPackage& package) {
  LockedPackage out{package.name, package.version, package.architecture, {},
                    false,        package.digest,  package.size};
  const auto below = [&](const std::string& mirror) {
    return !mirror.empty() && package.url.starts_with(mirror + "/");
  };
  out.security = below(spec.security_mirror);
  if (!out.security && !below(spec.mirror)) {
    return fail(ErrorKind::unsupported,
                fmt::format("apt would fetch {} from {}", package.name, package.url));
  }
  const auto& mirror = out.security ? spec.security_mirror : spec.mirror;
  out.path = url_decoded(std::string_view(package.url).substr(mirror.size() + 1));
  if (!bundle::is_contained(out.path) || !out.path.starts_with("pool/")) {
    return fail(ErrorKind::unsupported,
                fmt::format("{} lies in {}, not in a pool", package.name, out.path));
  }
  return out;
}

/// What the target has when it is described by packages: they and what they depend on.
Result<void> install_base(AptRoot& apt, const PackagesSpec& spec, const fs::path& root) {
  if (spec.base == PackageBase::none) return {};
  if (spec.base == PackageBase::installed) {
    BP_TRY_DURING(const auto status, "reading what the target has",
                  read_file(root / spec.installed, 64U << 20));
    return apt.set_installed(status);
  }
  // apt-patterns(7); debootstrap's variant of that name has the same.
  const std::vector<std::string> smallest{"?or(?essential,?priority(required))", "apt"};
  const auto& wanted = spec.base == PackageBase::list ? spec.base_packages : smallest;
  BP_TRY_DURING(const auto packages, "finding out what the base has", apt.solve(wanted, false));
  BP_TRY(const auto status, apt.status_of(packages));
  return apt.set_installed(status);
}

/// deb-src-control aside, this is what `dpkg-scanpackages` does: the package's own control fields,
/// and where it lies.
Result<std::string> stanza_of(const LockedPackage& package, const fs::path& deb,
                              ProcessRunner& runner) {
  BP_TRY_DURING(auto text, "reading " + package.path,
                runner.check({"dpkg-deb", "--field", deb.string()}));
  while (text.ends_with('\n')) text.pop_back();
  return fmt::format("{}\nFilename: {}\nSize: {}\nSHA256: {}\n\n", text, package.path, package.size,
                     package.digest.hex());
}

/// deb822 form of a repository's Release file, as apt wants it (wiki.debian.org,
/// DebianRepository/Format).
std::string release_text(const PackagesSpec& spec, WallTime created_at,
                         const std::map<std::string, std::string>& indexes) {
  std::string sums;
  for (const auto& [path, text] : indexes) {
    sums += fmt::format(" {} {} {}\n", Digest::of(text).hex(), text.size(), path);
  }
  return fmt::format(
      "Origin: Bedplate\nLabel: {}\nSuite: {}\nCodename: {}\nDate: {:%a, %d %b %Y %H:%M:%S} UTC\n"
      "Architectures: {}\nComponents: main\nAcquire-By-Hash: no\nSHA256:\n{}",
      spec.name, spec.suite, spec.suite,
      fmt::gmtime(static_cast<std::time_t>(created_at.time_since_epoch().count())),
      fmt::join(spec.architectures, " "), sums);
}

Result<LockedPackage> parse_package(const Json& value) {
  LockedPackage out;
  BP_TRY(out.name, json_string(value, "package"));
  BP_TRY(out.version, json_string(value, "version"));
  BP_TRY(out.architecture, json_string(value, "architecture"));
  BP_TRY(out.path, json_string(value, "path"));
  BP_TRY(const auto archive, json_string(value, "archive"));
  BP_TRY(const auto digest, json_string(value, "digest"));
  BP_TRY(out.digest, Digest::parse(digest));
  BP_TRY(out.size, json_uint(value, "size"));
  out.security = archive == "security";
  if (bundle::is_contained(out.path) && out.path.starts_with("pool/")) return out;
  return fail(ErrorKind::invalid, fmt::format("'{}' is no path in a pool", out.path));
}

}  // namespace

std::string artifact_name(const PackagesSpec& spec) {
  return "apt/" + spec.name;
}

Json packages_json(const LockedPackages& packages) {
  Json list = Json::array();
  for (const auto& package : packages.packages) {
    list.push_back({{"package", package.name},
                    {"version", package.version},
                    {"architecture", package.architecture},
                    {"path", package.path},
                    {"archive", package.security ? "security" : "main"},
                    {"digest", package.digest.str()},
                    {"size", package.size}});
  }
  return {{"asked", packages.asked}, {"packages", std::move(list)}};
}

Result<LockedPackages> parse_packages_json(const Json& value) {
  LockedPackages out;
  if (!value.is_object() || !value.contains("asked") || !value.contains("packages") ||
      !value["packages"].is_array()) {
    return fail(ErrorKind::invalid, "must have 'asked' and a list of 'packages'");
  }
  out.asked = value["asked"];
  for (const auto& item : value["packages"]) {
    BP_TRY(auto package, parse_package(item));
    out.packages.push_back(std::move(package));
  }
  return out;
}

Result<Json> packages_asked(const PackagesSpec& spec, const fs::path& root) {
  Json out{{"suite", spec.suite},          {"components", spec.components},
           {"packages", spec.packages},    {"architectures", spec.architectures},
           {"updates", spec.updates},      {"security", !spec.security_mirror.empty()},
           {"recommends", spec.recommends}};
  switch (spec.base) {
    case PackageBase::none:
      out["base"] = "none";
      break;
    case PackageBase::minbase:
      out["base"] = "minbase";
      break;
    case PackageBase::list:
      out["base"] = spec.base_packages;
      break;
    case PackageBase::installed: {
      BP_TRY_DURING(const auto digest, "reading what the target has",
                    digest_file(root / spec.installed));
      out["installed"] = digest.str();
      break;
    }
  }
  return out;
}

Result<LockedPackages> solve_packages(const PackagesSpec& spec, const fs::path& root,
                                      ProcessRunner& runner, Progress* progress) {
  LockedPackages out;
  BP_TRY(out.asked, packages_asked(spec, root));
  for (const auto& architecture : spec.architectures) {
    if (progress != nullptr) {
      progress->begin(fmt::format("ask {} for its packages ({})", spec.mirror, architecture), 0);
    }
    BP_TRY(auto apt, AptRoot::create(spec, architecture, root, runner));
    BP_CHECK(apt.update());
    BP_CHECK(install_base(apt, spec, root));
    BP_TRY(const auto packages, apt.solve(spec.packages, spec.recommends));
    for (const auto& package : packages) {
      BP_TRY(auto locked, lock_package(spec, package));
      out.packages.push_back(std::move(locked));
    }
    if (progress != nullptr) progress->end();
  }
  std::ranges::sort(out.packages, {}, order_of);
  // Those for all architectures come once for each.
  const auto same = std::ranges::unique(out.packages, {}, order_of);
  out.packages.erase(same.begin(), same.end());
  if (out.packages.empty()) {
    return fail(ErrorKind::invalid,
                fmt::format("the target has everything under packages of {} already", spec.name),
                "remove the item, or say what the target has with base: or installed:");
  }
  return out;
}

std::vector<ArtifactFile> package_files(const PackagesSpec& spec, const LockedPackages& locked) {
  std::vector<ArtifactFile> out;
  for (const auto& package : locked.packages) {
    ArtifactFile file;
    file.name = package.path;
    file.mode = 0644;
    file.line = spec.line;
    file.checked = true;
    file.remote = Download{};
    file.remote->url =
        (package.security ? spec.security_mirror : spec.mirror) + "/" + url_encoded(package.path);
    file.remote->digest = package.digest;
    file.remote->size = package.size;
    file.remote->name =
        fmt::format("{} {} ({})", package.name, package.version, package.architecture);
    file.remote->gone =
        "mirrors drop superseded versions: run `bedplate bundle resolve` for today's, or set "
        "mirror: to http://snapshot.debian.org/archive/debian/<time>";
    out.push_back(std::move(file));
  }
  return out;
}

Result<void> add_indexes(const PackagesSpec& spec, const LockedPackages& locked,
                         WallTime created_at, const fs::path& folder, ProcessRunner& runner,
                         std::vector<ArtifactFile>& files) {
  std::map<std::string, std::string> indexes;  // by path below dists/<suite>
  for (const auto& architecture : spec.architectures) {
    indexes[fmt::format("main/binary-{}/Packages", architecture)] = "";
  }
  for (const auto& package : locked.packages) {
    const auto file = std::ranges::find(files, package.path, &ArtifactFile::name);
    if (file == files.end()) return fail(ErrorKind::internal, package.path + " was not fetched");
    BP_TRY(const auto stanza, stanza_of(package, file->path, runner));
    for (auto& [path, text] : indexes) {
      const bool for_it = package.architecture == "all" ||
                          path == fmt::format("main/binary-{}/Packages", package.architecture);
      if (for_it) text += stanza;
    }
  }
  const auto add = [&](const std::string& path, const std::string& text) -> Result<void> {
    ArtifactFile file;
    file.name = fmt::format("dists/{}/{}", spec.suite, path);
    file.path = folder / artifact_name(spec) / file.name;
    file.mode = 0644;
    file.checked = true;
    BP_CHECK(make_directories(file.path.parent_path()));
    BP_CHECK(write_file_atomic(file.path, text));
    files.push_back(std::move(file));
    return {};
  };
  for (const auto& [path, text] : indexes) BP_CHECK(add(path, text));
  BP_CHECK(add("Release", release_text(spec, created_at, indexes)));
  std::ranges::sort(files, {}, &ArtifactFile::name);
  return {};
}

}  // namespace bedplate::collect

#include "airgap-bundle/collect/apt.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include <fmt/format.h>
#include <sys/stat.h>

#include "core/text.hpp"

namespace bedplate::collect {
namespace {

namespace fs = std::filesystem;

/// Calls `action` for each line, without its end.
template <class Action>
Result<void> each_line(std::string_view text, const Action& action) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    BP_CHECK(action(text.substr(0, end)));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return {};
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  while (!line.empty()) {
    const auto end = line.find(' ');
    if (end != 0) out.push_back(line.substr(0, end));
    if (end == std::string_view::npos) break;
    line.remove_prefix(end + 1);
  }
  return out;
}

/// NAME_VERSION_ARCHITECTURE.deb
Result<AptPackage> parse_file_name(std::string_view file) {
  AptPackage out;
  const auto first = file.find('_');
  const auto last = file.rfind('_');
  if (first == std::string_view::npos || first == last || !file.ends_with(".deb")) {
    return fail(ErrorKind::unsupported, fmt::format("apt names a file {}", file));
  }
  // apt writes %2b for a plus, and %3a for the colon of an epoch.
  append_percent_decoded(out.name, file.substr(0, first));
  append_percent_decoded(out.version, file.substr(first + 1, last - first - 1));
  out.architecture = file.substr(last + 1, file.size() - last - 5);
  return out;
}

/// The lines that say what went wrong.
std::string complaint_of(const ProcessResult& result) {
  std::string out;
  (void)each_line(result.err, [&](std::string_view line) -> Result<void> {
    if (line.starts_with("E: ") || line.starts_with("W: ")) {
      out += (out.empty() ? "" : "\n  ") + std::string(line.substr(3));
    }
    return {};
  });
  return out.empty() ? result.err : out;
}

/// Whether signatures are why apt refuses a mirror. It also says "not signed" of what it could not
/// fetch.
bool is_distrust(std::string_view text) {
  const auto has = [&](std::string_view word) { return text.find(word) != std::string_view::npos; };
  for (const auto* sign : {"NO_PUBKEY", "EXPKEYSIG", "BADSIG", "invalid signature",
                           "couldn't be verified", "signature verification failed"}) {
    if (has(sign)) return true;
  }
  return has("not signed") && !has("Failed to fetch");
}

/// A repository in deb822 form (sources.list(5)).
std::string source_text(const std::string& uri, const std::string& suites, const PackagesSpec& spec,
                        const std::string& architecture, const fs::path& keyring) {
  // What a snapshot says of its validity ended long ago; that is what it is for.
  const bool dated = uri.find("://snapshot.debian.org/") == std::string::npos;
  return fmt::format(
      "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nArchitectures: {}\nSigned-By: {}\n{}\n",
      uri, suites, fmt::join(spec.components, " "), architecture, keyring.string(),
      dated ? "" : "Check-Valid-Until: no\n");
}

std::string configuration(const fs::path& folder, const std::string& architecture,
                          std::string_view network) {
  return fmt::format(R"({}Dir "{}/";
Dir::Etc "etc";
Dir::State "state";
Dir::State::status "{}/status";
Dir::Cache "cache";
APT::Architecture "{}";
APT::Architectures {{ "{}"; }};
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::ForceHash "SHA256";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
)",
                     network, folder.string(), folder.string(), architecture, architecture);
}

}  // namespace

Result<std::vector<AptPackage>> parse_uris(std::string_view text) {
  std::vector<AptPackage> out;
  BP_CHECK(each_line(text, [&](std::string_view line) -> Result<void> {
    if (!line.starts_with('\'')) return {};
    const auto words = words_of(line);
    if (words.size() != 4 || !words[0].ends_with('\'')) {
      return fail(ErrorKind::unsupported, fmt::format("apt wrote '{}'", line));
    }
    BP_TRY(auto package, parse_file_name(words[1]));
    package.url = words[0].substr(1, words[0].size() - 2);
    const auto size = parse_unsigned(words[2]);
    if (!words[3].starts_with("SHA256:") || !size) {
      return fail(ErrorKind::unsupported,
                  fmt::format("the mirror names no SHA-256 of {}", package.name));
    }
    package.size = *size;
    BP_TRY(package.digest, Digest::parse("sha256:" + std::string(words[3].substr(7))));
    out.push_back(std::move(package));
    return {};
  }));
  std::ranges::sort(out, {}, [](const AptPackage& package) {
    return std::tie(package.name, package.version, package.architecture);
  });
  return out;
}

std::string network_settings(std::string_view dump) {
  constexpr std::array<std::string_view, 9> taken{
      "Acquire::http::",   "Acquire::https::",   "Acquire::socks",
      "Acquire::Retries ", "Acquire::ForceIPv4", "Acquire::ForceIPv6",
      "Acquire::Max-",     "Acquire::Check-",    "Acquire::Queue-Mode"};
  std::string out;
  (void)each_line(dump, [&](std::string_view line) -> Result<void> {
    const bool wanted =
        std::ranges::any_of(taken, [&](std::string_view name) { return line.starts_with(name); });
    if (wanted) out += std::string(line) + "\n";
    return {};
  });
  return out;
}

Result<AptRoot> AptRoot::create(const PackagesSpec& spec, const std::string& architecture,
                                const fs::path& root, ProcessRunner& runner) {
  BP_CHECK(find_program("apt-get", "apt"));
  const auto keyring = root / spec.keyring;
  std::error_code code;
  if (!fs::is_regular_file(keyring, code)) {
    return fail(ErrorKind::dependency,
                fmt::format("the keyring {} that signs the mirror is missing", keyring.string()),
                "sudo apt-get install debian-archive-keyring, or name one with keyring:");
  }
  BP_TRY(auto folder, TemporaryDirectory::create("bedplate-apt"));
  const auto& path = folder.path();
  for (const auto* part : {"etc/sources.list.d", "etc/preferences.d", "etc/apt.conf.d",
                           "state/lists/partial", "cache/archives/partial"}) {
    BP_CHECK(make_directories(path / part));
  }
  // As root, apt fetches as a user of its own, who has to get in.
  if (::chmod(path.c_str(), 0755) != 0) return fail(system_error(errno, "cannot open the folder"));
  BP_TRY_DURING(const auto dump, "asking apt for its settings",
                runner.check({"apt-config", "dump"}));
  // Proxies may have passwords.
  BP_CHECK(write_file_atomic(path / "apt.conf",
                             configuration(path, architecture, network_settings(dump)), 0600));
  auto sources = source_text(spec.mirror,
                             spec.updates ? fmt::format("{0} {0}-updates", spec.suite) : spec.suite,
                             spec, architecture, fs::absolute(keyring));
  if (!spec.security_mirror.empty()) {
    sources += source_text(spec.security_mirror, spec.suite + "-security", spec, architecture,
                           fs::absolute(keyring));
  }
  BP_CHECK(write_file_atomic(path / "etc/sources.list.d/bundle.sources", sources));
  BP_CHECK(write_file_atomic(path / "status", ""));
  return AptRoot(std::move(folder), runner);
}

Result<ProcessResult> AptRoot::run(std::vector<std::string> argv) {
  Command command;
  command.argv = std::move(argv);
  command.environment = {{"APT_CONFIG", (folder_.path() / "apt.conf").string()},
                         {"LC_ALL", "C.UTF-8"},
                         {"DEBIAN_FRONTEND", "noninteractive"}};
  command.timeout = std::chrono::minutes(30);
  return runner_->run(command);
}

Result<void> AptRoot::update() {
  BP_TRY(const auto result, run({"apt-get", "update", "-q"}));
  if (result.status == 0) return {};
  const auto text = complaint_of(result);
  if (is_distrust(text)) {
    return fail(ErrorKind::untrusted, "apt does not believe the mirror: " + text,
                "bring debian-archive-keyring up to date, or name the right keyring:");
  }
  return fail(ErrorKind::network, "apt cannot fetch the lists of packages: " + text,
              "check mirror: and securityMirror: in the specification, then run it again");
}

Result<void> AptRoot::set_installed(std::string_view status) {
  return write_file_atomic(folder_.path() / "status", status);
}

Result<std::vector<AptPackage>> AptRoot::solve(const std::vector<std::string>& wanted,
                                               bool recommends) {
  std::vector<std::string> argv{"apt-get", "install", "--print-uris", "-y", "-qq", "--no-remove"};
  argv.emplace_back(recommends ? "--install-recommends" : "--no-install-recommends");
  argv.insert(argv.end(), wanted.begin(), wanted.end());
  BP_TRY(const auto result, run(std::move(argv)));
  if (result.status == 0) return parse_uris(result.out);
  const auto text = complaint_of(result);
  const bool unknown =
      text.find("Unable to locate package") != std::string::npos ||
      text.find("has no installation candidate") != std::string::npos ||
      (text.find("Version '") != std::string::npos && text.find("not found") != std::string::npos);
  if (unknown) {
    return fail(ErrorKind::not_found, text,
                "correct packages: in the specification, or name the component that has them");
  }
  // The reasons are on standard output.
  return fail(ErrorKind::invalid, fmt::format("apt finds no way to install them together: {}\n{}",
                                              text, trimmed(result.out)));
}

Result<std::string> AptRoot::status_of(const std::vector<AptPackage>& packages) {
  std::vector<std::string> argv{"apt-cache", "show", "--no-all-versions"};
  for (const auto& package : packages) argv.push_back(package.name + "=" + package.version);
  if (packages.empty()) return std::string();
  BP_TRY(const auto result, run(std::move(argv)));
  if (result.status != 0) {
    return fail(ErrorKind::process, "apt-cache show failed: " + complaint_of(result));
  }
  std::string out;
  (void)each_line(result.out, [&](std::string_view line) -> Result<void> {
    out += std::string(line) + "\n";
    if (line.starts_with("Package: ")) out += "Status: install ok installed\n";
    return {};
  });
  return out;
}

}  // namespace bedplate::collect

#include "imagebuild/commands.hpp"

#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/process.hpp"
#include "core/progress.hpp"
#include "core/site.hpp"
#include "imagebuild/iso.hpp"
#include "imagebuild/kernel_line.hpp"
#include "imagebuild/system.hpp"

namespace bedplate {
namespace {

namespace fs = std::filesystem;
using namespace image;

struct SystemArguments {
  std::string output;
  std::string site;
  std::string secrets;
  std::vector<std::string> bundle_keys;
  std::string program = "/proc/self/exe";
  std::string mirror;
  std::string security_mirror;
  bool debug_console = false;
  bool refresh = false;
  int compression = 9;
};

struct IsoArguments {
  std::string output;
  std::string system;
  std::string bundle;
  std::string site;
  std::string secrets;
  std::vector<std::string> kernel_arguments;
};

fs::path secrets_path(const std::string& given, const std::string& site) {
  return given.empty() ? default_secrets_path(site) : fs::path(given);
}

/// The keys named on the command line, else the site's, else those of its secrets.
Result<std::vector<PublicKey>> bundle_keys(const SystemArguments& arguments) {
  std::vector<PublicKey> keys;
  for (const auto& text : arguments.bundle_keys) {
    BP_TRY_DURING(keys.emplace_back(), "reading --bundle-key", PublicKey::parse(text));
  }
  if (!arguments.site.empty()) {
    BP_TRY(auto site, read_site(arguments.site));
    if (site.trust.bundle_keys.empty()) {
      BP_TRY(const auto secrets, read_secrets(secrets_path(arguments.secrets, arguments.site)));
      BP_TRY(site, seal_site(std::move(site), secrets));
    }
    keys.insert(keys.end(), site.trust.bundle_keys.begin(), site.trust.bundle_keys.end());
  }
  if (!keys.empty()) return keys;
  return fail(ErrorKind::usage, "the image must know whose bundles it accepts",
              "name the site with --site, or a key with --bundle-key ed25519:…");
}

Result<Workshop> open_workshop(ProcessRunner& runner, Progress* progress,
                               const std::vector<Tool>& needed) {
  BP_TRY(auto tools, Toolbox::locate(needed));
  return Workshop{runner, progress, cache_directory(), std::move(tools), ::geteuid() == 0};
}

Result<int> run_system(const SystemArguments& arguments, bool json) {
  SystemOptions options;
  BP_TRY(options.bundle_keys, bundle_keys(arguments));
  BP_TRY(options.base, default_base_spec());
  if (!arguments.mirror.empty()) options.base.mirror = arguments.mirror;
  if (!arguments.security_mirror.empty()) options.base.security_mirror = arguments.security_mirror;
  std::error_code error;
  options.program = fs::canonical(arguments.program, error);
  if (error) return fail(ErrorKind::not_found, "cannot find " + arguments.program);
  options.debug_console = arguments.debug_console;
  options.refresh = arguments.refresh;
  options.compression = arguments.compression;
  options.now = SystemClock().now();
  SystemProcessRunner runner;
  const auto progress = make_console_progress();
  BP_TRY(const auto shop, open_workshop(runner, progress.get(), system_tools(::geteuid() == 0)));
  BP_TRY(const auto made, make_system(shop, options, fs::absolute(arguments.output)));
  const auto& info = made.system.info;
  if (json) {
    auto document = info.to_json();
    document["folder"] = made.system.folder.string();
    document["rootfs"] = made.root.string();
    fmt::print("{}\n", document.dump());
    return 0;
  }
  fmt::print("System {} in {} ({}, kernel {})\n", info.version, arguments.output,
             format_bytes(info.size), info.kernel_version);
  for (const auto& key : options.bundle_keys) {
    fmt::print("Accepts bundles signed by {}\n", key.fingerprint());
  }
  if (info.debug_console) fmt::print("DEBUG CONSOLE ENABLED: never take this image to a site\n");
  return 0;
}

Result<int> run_iso(const IsoArguments& arguments, bool json) {
  for (const auto& word : arguments.kernel_arguments) BP_CHECK(check_kernel_argument(word));
  IsoOptions options;
  options.system = arguments.system;
  options.bundle = arguments.bundle;
  BP_TRY(auto site, read_site(arguments.site));
  BP_TRY(const auto secrets, read_secrets(secrets_path(arguments.secrets, arguments.site)));
  BP_TRY(options.site, seal_site(std::move(site), secrets));
  for (const auto& node : options.site.nodes) {
    const auto secret = secrets.enrolment.find(node.name);
    if (secret == secrets.enrolment.end()) {
      return fail(ErrorKind::invalid, fmt::format("node {} has no enrolment secret", node.name),
                  "bedplate site init " + arguments.site);
    }
    options.enrolment.insert(*secret);
  }
  options.kernel_arguments = arguments.kernel_arguments;
  options.now = SystemClock().now();
  SystemProcessRunner runner;
  const auto progress = make_console_progress();
  BP_TRY(const auto shop, open_workshop(runner, progress.get(), iso_tools()));
  BP_TRY(const auto made, make_iso(shop, options, fs::absolute(arguments.output)));
  if (json) {
    fmt::print("{}\n", nlohmann::json{{"file", made.file.string()},
                                      {"size", made.size},
                                      {"uuid", made.uuid},
                                      {"siteId", options.site.id()}}
                           .dump());
    return 0;
  }
  fmt::print("Medium for site {} in {} ({})\n", options.site.name, arguments.output,
             format_bytes(made.size));
  fmt::print(
      "It holds enrolment secrets: keep it like a key. Write it raw to a stick, or burn it.\n");
  return 0;
}

void add_system(CLI::App& image, Invocation& invocation) {
  auto arguments = std::make_shared<SystemArguments>();
  auto* command =
      image.add_subcommand("system", "Make the system image: kernel, initrd, verity root");
  command->footer(
      "Debian's packages are fetched once and kept by content.\n"
      "Example:\n  bedplate image system --site site.yaml -o system");
  command->add_option("-o,--output", arguments->output, "Folder to write")->required();
  command->add_option("--site", arguments->site, "Site whose bundle key the image accepts");
  command->add_option("--secrets", arguments->secrets, "Secrets of the site (default: beside it)");
  command->add_option("--bundle-key", arguments->bundle_keys, "Accept bundles by ed25519:<base64>");
  command->add_option("--program", arguments->program, "The bedplate executable that goes in");
  command->add_option("--mirror", arguments->mirror, "Debian mirror");
  command->add_option("--security-mirror", arguments->security_mirror, "Mirror of Debian security");
  command->add_option("--compression", arguments->compression, "zstd level of the root file system")
      ->check(CLI::Range(1, 22));
  command->add_flag("--refresh", arguments->refresh, "Fetch the Debian packages anew");
  command->add_flag("--debug-console", arguments->debug_console,
                    "Root shells on ttyS0 and tty2 without a password: for development only");
  command->callback([arguments, &invocation] {
    invocation.action = [arguments, &invocation] {
      return run_system(*arguments, invocation.json);
    };
  });
}

void add_iso(CLI::App& image, Invocation& invocation) {
  auto arguments = std::make_shared<IsoArguments>();
  auto* command = image.add_subcommand("iso", "Make the medium that installs a site's machines");
  command->footer(
      "The medium holds enrolment secrets: keep it like a key.\n"
      "Example:\n  bedplate image iso --site site.yaml --system system --bundle site.bundle -o "
      "site.iso");
  command->add_option("-o,--output", arguments->output, "File to write")->required();
  command->add_option("--system", arguments->system, "Folder made by `image system`")->required();
  command->add_option("--bundle", arguments->bundle, "The site's bundle")->required();
  command->add_option("--site", arguments->site, "Site file")->required();
  command->add_option("--secrets", arguments->secrets, "Secrets of the site (default: beside it)");
  command->add_option("--kernel-arg", arguments->kernel_arguments,
                      "Word to add to the kernel line, on the medium and once installed");
  command->callback([arguments, &invocation] {
    invocation.action = [arguments, &invocation] { return run_iso(*arguments, invocation.json); };
  });
}

}  // namespace

void add_image_commands(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand("image", "System image and installation medium");
  command->require_subcommand(1);
  add_system(*command, invocation);
  add_iso(*command, invocation);
}

}  // namespace bedplate

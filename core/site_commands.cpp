// `bedplate site init|validate`.

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/command.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/site.hpp"

namespace bedplate {
namespace {

constexpr std::string_view skeleton =
    R"(# A site: what `bedplate` builds from bare machines. `bedplate site validate` says what is wrong with it.
kind: Site
name: my-site
domain: my-site.example            # names of the platform live under it
kubernetes:
  version: v1.36.3                 # must be the version in the bundle
  podNetwork: 10.244.0.0/16        # used by nothing else that the nodes reach
  serviceNetwork: 10.96.0.0/12
network:
  plugin: cilium                   # basic: for rehearsals only
bootstrap: node-1                  # the one node that creates the cluster
nodes:
  - name: node-1
    role: control-plane            # or worker
    match: {mac: "52:54:00:00:00:01"}      # how the machine knows itself: mac, serial, uuid
    disk: {serial: "DISK-SERIAL", wipe: false}   # exactly one disk must match: serial, model, wwn, path, minSize, maxSize
    address: 192.0.2.11/24
    gateway: none                  # or an address
    dns: []
    ntp: []
)";

struct SiteOptions {
  std::string site;
  std::string secrets;
};

Result<int> init_site(const SiteOptions& options, bool json) {
  const std::filesystem::path path(options.site);
  std::error_code code;
  const bool fresh = !std::filesystem::exists(path, code);
  if (fresh) BP_CHECK(write_file_atomic(path, skeleton));
  BP_TRY(const auto site, read_site(path));
  const auto secrets_path =
      options.secrets.empty() ? default_secrets_path(path) : std::filesystem::path(options.secrets);
  BP_TRY(const auto secrets, ensure_secrets(secrets_path, site));
  BP_TRY(const auto sealed, seal_site(site, secrets));
  const auto fingerprint = sealed.trust.bundle_keys.front().fingerprint();
  if (json) {
    fmt::print("{}\n", Json{{"site", path.string()},
                            {"secrets", secrets_path.string()},
                            {"bundleKey", sealed.trust.bundle_keys.front().str()},
                            {"fingerprint", fingerprint}}
                           .dump());
    return 0;
  }
  if (fresh) fmt::print("wrote {}: edit it, then run this command again\n", path.string());
  fmt::print("secrets: {} (keep it off the site)\n", secrets_path.string());
  fmt::print("bundle key: {}\n", fingerprint);
  fmt::print("Compare this with what the consoles show.\n");
  return 0;
}

Result<int> validate_site(const SiteOptions& options, bool json) {
  BP_TRY(const auto site, read_site(options.site));
  if (json) {
    fmt::print("{}\n",
               Json{{"site", site.name}, {"nodes", site.nodes.size()}, {"valid", true}}.dump());
    return 0;
  }
  fmt::print("{}: site {} with {} node{}, Kubernetes {}, bootstrap node {}: no mistakes found\n",
             options.site, site.name, site.nodes.size(), site.nodes.size() == 1 ? "" : "s",
             site.kubernetes_version, site.bootstrap);
  return 0;
}

}  // namespace

void add_site_commands(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<SiteOptions>();
  auto* site = app.add_subcommand("site", "Write and check the site file");
  site->require_subcommand(1);

  auto* init = site->add_subcommand("init", "Write a site file to start from, and its secrets");
  init->add_option("site", options->site, "Site file; kept if it exists")->required();
  init->add_option("--secrets", options->secrets,
                   "Secrets file (default: beside the site file, ending in .secrets)");
  init->footer(
      "Example:\n  bedplate site init site.yaml\n"
      "Keeps what exists and adds what is missing: run it again after adding a node.");
  init->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return init_site(*options, invocation.json); };
  });

  auto* validate =
      site->add_subcommand("validate", "Say everything that is wrong with a site file");
  validate->add_option("site", options->site, "Site file")->required();
  validate->footer("Example:\n  bedplate site validate site.yaml");
  validate->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return validate_site(*options, invocation.json); };
  });
}

}  // namespace bedplate

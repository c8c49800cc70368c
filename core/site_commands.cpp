// `bedplate site init|validate`.

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/command.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "core/site_document.hpp"

namespace bedplate {
namespace {

constexpr std::string_view skeleton =
    R"(# A site: what `bedplate` builds from bare machines.
# Change what is here to fit yours; `bedplate site validate` says everything that is wrong with it.
kind: Site
name: my-site                        # lower-case letters, digits and hyphens
domain: my-site.example              # the names of the platform live under it

kubernetes:
  version: v1.36.3                   # must be the version in the bundle
  podNetwork: 10.244.0.0/16          # used by nothing else that the nodes reach; a /24 for each node
  serviceNetwork: 10.96.0.0/12       # likewise

network:
  plugin: basic                      # for rehearsals; cilium is the default, and not installed by this version yet

bootstrap: node-1                    # the one node that creates the cluster; the others join it

nodes:
  - name: node-1
    role: control-plane              # or worker
    # How the machine finds itself here: mac, serial, uuid (of the DMI); all that are given must match.
    match: {mac: "52:54:00:00:00:01"}
    # Exactly one disk must match all that is given: serial, model, wwn, path, minSize, maxSize.
    # A disk that holds data is refused unless wipe is true.
    disk: {serial: "DISK-SERIAL", wipe: false}
    address: 192.0.2.11/24           # of the machine, with the length of its network's prefix
    gateway: none                    # or the router's address
    dns: []                          # addresses of DNS servers outside, if there are any
    ntp: []                          # time servers outside; without, the bootstrap node keeps the time
#  - name: node-2
#    role: worker
#    match: {serial: "CHASSIS-SERIAL"}
#    disk: {model: "VENDOR MODEL", minSize: 100GiB}
#    address: 192.0.2.12/24
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
                            {"written", fresh},
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

Json to_json(const Finding& finding) {
  return {{"file", finding.file},
          {"line", finding.line},
          {"column", finding.column},
          {"field", finding.field},
          {"message", finding.message}};
}

/// Not wrong, but seldom what is wanted.
std::vector<std::string> remarks(const Site& site) {
  std::vector<std::string> out;
  const auto control_planes = site.control_planes().size();
  if (control_planes > 1 && control_planes % 2 == 0) {
    out.push_back(fmt::format(
        "{} control-plane nodes stand no more failures than {}: an odd number is better",
        control_planes, control_planes - 1));
  }
  if (const auto installable = check_installable(site); !installable) {
    out.push_back(installable.error().what);
  }
  for (const auto& node : site.nodes) {
    if (node.disk.wipe) {
      out.push_back(
          fmt::format("node {}: whatever is on its disk is destroyed (disk.wipe)", node.name));
    }
  }
  return out;
}

void print_summary(const std::string& file, const Site& site) {
  const auto count = [](std::size_t number, std::string_view what) {
    return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
  };
  const auto control_planes = site.control_planes().size();
  fmt::print("{}: no mistakes found\n", file);
  fmt::print("site {} ({}): {}, {}; Kubernetes {}, network plugin {}, bootstrap node {}\n",
             site.name, site.domain, count(control_planes, "control-plane node"),
             count(site.nodes.size() - control_planes, "worker"), site.kubernetes_version,
             to_string(site.plugin), site.bootstrap);
  for (const auto& remark : remarks(site)) fmt::print("note: {}\n", remark);
}

Result<int> validate_site(const SiteOptions& options, bool json) {
  if (!json) {
    BP_TRY(const auto site, read_site(options.site));
    print_summary(options.site, site);
    return 0;
  }
  BP_TRY(const auto root, YamlNode::read(options.site));
  const auto site = site_from(root);
  Json findings = Json::array();
  for (const auto& finding : root.findings()) findings.push_back(to_json(finding));
  const bool valid = findings.empty();
  Json out{{"file", options.site}, {"valid", valid}, {"findings", std::move(findings)}};
  if (valid) {
    out["site"] = site.name;
    out["nodes"] = site.nodes.size();
    out["notes"] = remarks(site);
  }
  fmt::print("{}\n", out.dump());
  return valid ? 0 : exit_code(ErrorKind::invalid);
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
      "Examples:\n"
      "  bedplate site init site.yaml\n"
      "  bedplate site init site.yaml --secrets /media/safe/site.secrets\n\n"
      "Keeps what exists and adds what is missing: run it again after adding a node. The secrets\n"
      "file holds the private keys of the site: readable by you alone, never taken to the site.");
  init->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return init_site(*options, invocation.json); };
  });

  auto* validate =
      site->add_subcommand("validate", "Say everything that is wrong with a site file");
  validate->add_option("site", options->site, "Site file")->required();
  validate->footer(
      "Examples:\n"
      "  bedplate site validate site.yaml\n"
      "  bedplate site validate site.yaml --json | jq -r '.findings[].field'\n\n"
      "Lists every mistake as file:line:column: field: what is wrong and what is allowed.\n"
      "Exit code 3 when there is one.");
  validate->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return validate_site(*options, invocation.json); };
  });
}

}  // namespace bedplate

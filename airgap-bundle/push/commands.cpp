#include "airgap-bundle/push/commands.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "airgap-bundle/bundle/trust.hpp"
#include "airgap-bundle/collect/rate.hpp"
#include "airgap-bundle/harbor/commands.hpp"
#include "airgap-bundle/push/report.hpp"
#include "core/file.hpp"

namespace bedplate {
namespace {

struct PushOptions {
  std::string bundle;
  std::vector<std::string> trust;
  std::string to;
  std::string ca;
  std::string certificate;
  std::string key;
  std::string chunk = "64M";
  std::string limit_rate;
  std::string report;
  unsigned workers = 8;
  bool plain_http = false;
  bool keep_registry = false;
  bool dry_run = false;
};

Result<push::Options> how_to_push(const PushOptions& options) {
  push::Options out;
  BP_TRY(out.target, push::Target::parse(options.to));
  out.target.keep_registry = options.keep_registry;
  out.workers = options.workers;
  out.uploads = registry::default_upload_folder();
  BP_TRY(out.chunk, collect::parse_rate(options.chunk));
  if (!options.limit_rate.empty()) {
    BP_TRY(out.limit_rate, collect::parse_rate(options.limit_rate));
  }
  return out;
}

Result<registry::HostSettings> host_settings(const PushOptions& options) {
  registry::HostSettings out;
  out.plain_http = options.plain_http;
  if (options.certificate.empty() != options.key.empty()) {
    return fail(ErrorKind::usage, "--cert and --key belong together");
  }
  BP_TRY(out.tls, registry::read_tls({options.ca, options.certificate, options.key}));
  return out;
}

/// What a push needs; with --check the command line alone cannot say it.
Result<void> check_complete(const PushOptions& options) {
  const auto need = [](bool given, const char* name) -> Result<void> {
    if (given) return {};
    return fail(ErrorKind::usage, fmt::format("{} is required", name),
                "`bedplate bundle push --help` has an example");
  };
  BP_CHECK(need(!options.bundle.empty(), "the bundle"));
  BP_CHECK(need(!options.trust.empty(), "--trust"));
  return need(!options.to.empty(), "--to");
}

Result<int> push_it(const PushOptions& options, bool json) {
  BP_CHECK(check_complete(options));
  BP_TRY(const auto how, how_to_push(options));
  BP_TRY(const auto keys, bundle::read_trust(options.trust));
  BP_TRY(const auto reader, bundle::Reader::open(options.bundle, keys));
  SystemProcessRunner runner;
  registry::Access access(runner);
  BP_TRY(auto settings, host_settings(options));
  access.set(how.target.registry, std::move(settings));
  auto progress = make_console_progress();
  BP_TRY_DURING(const auto outcome, fmt::format("pushing to {}", how.target.str()),
                push::push_bundle(reader, how, access, options.dry_run, progress.get()));
  progress.reset();
  auto document = options.dry_run ? push::plan_json(outcome.plan, how.target)
                                  : push::report_json(outcome, how.target);
  document["bundle"] = {{"name", reader.header().name}, {"version", reader.header().version}};
  if (!options.report.empty()) {
    BP_CHECK(write_file_atomic(options.report, document.dump(2) + "\n"));
  }
  if (json) {
    fmt::print("{}\n", document.dump());
  } else {
    fmt::print("{}", options.dry_run ? push::plan_text(outcome.plan, how.target)
                                     : push::report_text(outcome, how.target));
  }
  std::fflush(stdout);
  auto error = outcome.report.error(outcome.plan);
  if (!error) return 0;
  if (json) return exit_code(error->kind);
  return fail(std::move(*error));
}

void add_connection(CLI::App& command, const std::shared_ptr<PushOptions>& options) {
  command.add_option("--ca", options->ca, "Trust only this authority (PEM) for the registry");
  command.add_option("--cert", options->certificate, "Client certificate (PEM)");
  command.add_option("--key", options->key, "Its private key (PEM)");
  command.add_flag("--plain-http", options->plain_http, "The registry has no TLS");
  command.add_option("--workers", options->workers, "Requests at a time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command
      .add_option("--chunk-size", options->chunk,
                  "Larger blobs are sent in pieces: bytes, or a number with K, M, G")
      ->capture_default_str();
  command.add_option("--limit-rate", options->limit_rate,
                     "Bytes a second, all together: 800K, 10M");
}

}  // namespace

void add_push_command(CLI::App& bundle, Invocation& invocation) {
  const auto options = std::make_shared<PushOptions>();
  auto* command = bundle.add_subcommand("push", "Push everything of a bundle to a registry");
  command->add_option("bundle", options->bundle, "Bundle file");
  command->add_option(
      "--trust", options->trust,
      "Who may have signed it: a key (ed25519:…), a sealed site file, a secrets file, "
      "or a file with a key per line; may be repeated");
  command->add_option("--to", options->to, "Registry: HOST[:PORT][/PREFIX]");
  command->add_flag("--keep-registry", options->keep_registry,
                    "Put each image's own registry before its repository");
  add_connection(*command, options);
  command->add_flag("--dry-run", options->dry_run,
                    "Print what is there and what would be sent, write nothing");
  command->add_option("--report", options->report, "Write what became of each image as JSON");
  const auto harbor = std::make_shared<HarborCheck>();
  command->add_option("--check", harbor->url,
                      "Push nothing: compare the Harbor at this URL with what is expected of one, "
                      "as `bedplate harbor check` does");
  add_harbor_account(*command, harbor);
  command->footer(
      "Logs in as docker, podman or skopeo did. Interrupted and called again, it goes on.\n"
      "Examples:\n  bedplate bundle push site.bundle --trust site.secrets --to "
      "harbor.site.example/k8s\n  bedplate bundle push --check https://harbor.site.example "
      "--password-file harbor-admin");
  command->callback([options, harbor, &invocation] {
    invocation.action = [options, harbor, &invocation]() -> Result<int> {
      if (harbor->url.empty()) return push_it(*options, invocation.json);
      harbor->ca = options->ca;
      harbor->plain_http = options->plain_http;
      return check_harbor(*harbor, invocation.json);
    };
  });
}

}  // namespace bedplate

#include "airgap-bundle/harbor/commands.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "airgap-bundle/harbor/apply.hpp"
#include "airgap-bundle/harbor/check.hpp"
#include "core/file.hpp"

namespace bedplate {
namespace {

namespace fs = std::filesystem;

struct HarborOptions {
  std::string document;
  std::string secrets;
  std::string approved;
  bool dry_run = false;
  bool before_push = false;
};
using Options = std::shared_ptr<HarborOptions>;

Result<harbor::Target> target_of(const std::string& url, const fs::path& ca,
                                 const std::string& user, const harbor::SecretSource& source,
                                 const fs::path& document) {
  harbor::Target target{url, {}, user, {}};
  while (target.url.ends_with('/')) target.url.pop_back();
  BP_TRY_DURING(target.password, "reading the password of " + user,
                harbor::read_source(source, document));
  if (!ca.empty()) {
    BP_TRY_DURING(target.tls.ca_pem, "reading the authority of Harbor", read_file(ca, 1U << 20));
  }
  return target;
}

fs::path beside(const std::string& document, const std::string& name) {
  return fs::absolute(document).parent_path() / name;
}

int print_drift(const harbor::Plan& plan, bool json) {
  if (json) {
    auto out = harbor::to_json(plan);
    out["hash"] = plan.hash();
    fmt::print("{}\n", out.dump());
  } else {
    fmt::print("{}", harbor::to_text(plan));
  }
  return 0;
}

Result<int> apply(const HarborOptions& options, bool json) {
  BP_TRY(const auto text, read_file(options.document, 4U << 20));
  BP_TRY(const auto spec, harbor::parse_spec(text, options.document));
  const auto ca = spec.ca.empty() ? fs::path() : beside(options.document, spec.ca);
  BP_TRY(auto target, target_of(spec.url, ca, spec.user, spec.password, options.document));
  harbor::SecretFolder folder(options.secrets.empty() ? beside(options.document, "harbor-secrets")
                                                      : fs::path(options.secrets));
  std::string client_secret;
  if (spec.auth && spec.auth->client_secret.given()) {
    BP_TRY_DURING(client_secret, "reading the secret of the OIDC client",
                  harbor::read_source(spec.auth->client_secret, options.document));
  }
  const auto http = make_http_client();
  SystemClock clock;
  harbor::Api api(*http, std::move(target), clock);
  const harbor::Session session{spec, api, folder, client_secret, clock};
  harbor::ApplyOptions how;
  how.plan.before_push = options.before_push;
  how.approved = options.approved;
  if (options.dry_run) {
    BP_TRY(const auto plan, harbor::drift(session, how.plan));
    return print_drift(plan, json);
  }
  if (!json) {
    how.on_step = [](std::size_t number, std::size_t total, const harbor::Action& action) {
      fmt::print("[{}/{}] {}\n", number, total, action.describe);
      std::fflush(stdout);
    };
  }
  BP_TRY_DURING(const auto plan, fmt::format("applying {} to {}", options.document, spec.url),
                harbor::apply(session, how));
  if (json || plan.actions.empty()) return print_drift(plan, json);
  fmt::print("{}: {} changes; Harbor is as the document says, secrets are in {}\n", spec.url,
             plan.actions.size(), folder.path().string());
  return 0;
}

}  // namespace

Result<int> check_harbor(const HarborCheck& options, bool json) {
  if (!options.password.given()) {
    return fail(ErrorKind::usage, "--password-file or --password-variable is needed");
  }
  if (!options.url.starts_with("https://") && !options.plain_http) {
    return fail(ErrorKind::usage, fmt::format("'{}' does not begin with https://", options.url),
                "--plain-http allows http://; the password then travels unprotected");
  }
  // Relative to where the command was given.
  const auto here = fs::current_path() / "harbor.yaml";
  BP_TRY(const auto target,
         target_of(options.url, options.ca, options.user, options.password, here));
  const auto http = make_http_client();
  SystemClock clock;
  BP_TRY(const auto report, harbor::check(*http, target, clock));
  fmt::print("{}", json ? harbor::to_json(report).dump() + "\n" : harbor::to_text(report));
  return report.passed() ? 0 : exit_code(ErrorKind::unsupported);
}

void add_harbor_account(CLI::App& command, const std::shared_ptr<HarborCheck>& options) {
  command.add_option("--user", options->user, "System administrator of Harbor")
      ->capture_default_str();
  auto* file = command.add_option("--password-file", options->password.file,
                                  "File with the administrator's password");
  command
      .add_option("--password-variable", options->password.variable,
                  "Name of the environment variable with that password")
      ->excludes(file);
}

namespace {

void add_apply(CLI::App& harbor, const Options& options, Invocation& invocation) {
  auto* command = harbor.add_subcommand(
      "apply", "Bring a Harbor to what a document says (projects, robots, quotas, rules, OIDC)");
  command->add_option("-f,--file", options->document, "Document (kind: Harbor)")->required();
  command->add_option("--secrets", options->secrets,
                      "Folder for the Secrets of robots (default: harbor-secrets beside the "
                      "document)");
  command->add_flag("--dry-run", options->dry_run, "Print what would be changed, change nothing");
  command->add_option("--plan", options->approved,
                      "Do only the plan with this hash, which --dry-run has shown");
  command->add_flag("--before-push", options->before_push,
                    "Leave immutability out: the images are still to be pushed");
  command->footer(
      "Stops at the first error; called again, it goes on with what is missing.\n"
      "Examples:\n  bedplate harbor apply -f harbor.yaml --dry-run\n"
      "  bedplate harbor apply -f harbor.yaml && kubectl apply -f harbor-secrets");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return apply(*options, invocation.json); };
  });
}

void add_check(CLI::App& harbor, Invocation& invocation) {
  const auto options = std::make_shared<HarborCheck>();
  auto* command = harbor.add_subcommand(
      "check", "Make every call once on a throw-away project and compare the answers");
  command->add_option("url", options->url, "https://HOST[:PORT]")->required();
  command->add_option("--ca", options->ca, "Trust only this authority (PEM file)");
  command->add_flag("--plain-http", options->plain_http, "Allow http://");
  add_harbor_account(*command, options);
  command->footer(
      "Makes the project bedplate-check-RANDOM and removes it again.\n"
      "Example:\n  bedplate harbor check https://harbor.example --ca ca.pem "
      "--password-file harbor-admin");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return check_harbor(*options, invocation.json); };
  });
}

}  // namespace

void add_harbor_commands(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<HarborOptions>();
  auto* harbor = app.add_subcommand("harbor", "Keep a Harbor as a document says");
  harbor->require_subcommand(1);
  add_apply(*harbor, options, invocation);
  add_check(*harbor, invocation);
}

}  // namespace bedplate

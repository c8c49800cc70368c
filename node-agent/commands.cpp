#include "node-agent/commands.hpp"

#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <libsmartcols/libsmartcols.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/json.hpp"
#include "core/site.hpp"
#include "core/text.hpp"
#include "node-agent/agent.hpp"
#include "node-agent/cluster/enrolment_client.hpp"
#include "node-agent/cluster/steps.hpp"

namespace bedplate {
namespace {

constexpr std::string_view status_path = "/run/bedplate/status.json";

/// Which node API a person asks, and with which secrets.
struct ServerOptions {
  std::string site;
  std::string secrets;
  std::string server;
};

struct KubeconfigOptions : ServerOptions {
  std::string output;
  std::string user = "operator";
};

struct ForgetOptions : ServerOptions {
  std::string node;
};

Result<Json> read_status() {
  auto status = read_json(std::string(status_path));
  if (status) return status;
  return fail(ErrorKind::not_found, "the agent has not written a status yet",
              "systemctl status bedplate-agent");
}

/// The table as text, so that the console can show it with the same words.
std::string render_status(const Json& status) {
  const std::unique_ptr<libscols_table, decltype(&scols_unref_table)> table(scols_new_table(),
                                                                            scols_unref_table);
  for (const auto* title : {"STEP", "STATE", "SINCE", "SECONDS", "DETAIL"}) {
    scols_table_new_column(table.get(), title, 0, 0);
  }
  std::string errors;
  for (const auto& step : status.value("steps", Json::array())) {
    auto* line = scols_table_new_line(table.get(), nullptr);
    const auto set = [&](std::size_t column, const std::string& text) {
      scols_line_set_data(line, column, text.c_str());
    };
    set(0, step.value("id", ""));
    set(1, step.value("state", ""));
    set(2, step.value("since", ""));
    set(3, fmt::format("{:.1f}", step.value("seconds", 0.0)));
    set(4, step.value("detail", ""));
    const auto error = step.value("error", Json());
    if (!error.is_object()) continue;
    errors += fmt::format("\nerror: {}\n", json_string_or(error, "error", ""));
    for (const auto& doing : error.value("while", Json::array())) {
      errors += fmt::format("while: {}\n", doing.get<std::string>());
    }
    const auto hint = json_string_or(error, "hint", "");
    errors += fmt::format("hint:  {}\n", hint.empty() ? "journalctl -u bedplate-agent" : hint);
  }
  char* text = nullptr;
  scols_print_table_to_string(table.get(), &text);
  std::string out =
      fmt::format("{} ({}): {}\n\n{}\n{}", status.value("node", ""), status.value("role", ""),
                  status.value("phase", ""), text == nullptr ? "" : text, errors);
  std::free(text);
  return out;
}

Result<int> show_status(bool json) {
  BP_TRY(const auto status, read_status());
  fmt::print("{}\n", json ? dump_text(status, 2) : render_status(status));
  return status.value("phase", "") == "ready" ? 0 : 1;
}

/// Never ends and takes no input: whoever stands in front of the machine sees what it does.
Result<int> show_console() {
  std::string shown;
  while (true) {
    const auto status = read_status();
    auto text = read_file("/usr/lib/bedplate/banner").value_or("Bedplate\n");
    text += "\n" + (status ? render_status(*status) : status.error().render());
    if (text != shown) fmt::print("\x1b[H\x1b[2J{}\n", text);
    std::fflush(stdout);
    shown = std::move(text);
    std::this_thread::sleep_for(std::chrono::seconds(2));
  }
}

Result<agent::OperatorOptions> operator_options(const ServerOptions& options, const Site& site) {
  BP_TRY(const auto secrets,
         read_secrets(options.secrets.empty() ? default_secrets_path(options.site)
                                              : std::filesystem::path(options.secrets)));
  const auto colon = options.server.find(':');
  BP_TRY(const auto address, Ipv4::parse(options.server.substr(0, colon)));
  std::uint16_t port = agent::node_api_port;
  if (colon != std::string::npos) {
    const auto given = parse_unsigned<std::uint16_t>(options.server.substr(colon + 1));
    if (!given) {
      return fail(ErrorKind::usage, fmt::format("'{}' is not an address", options.server));
    }
    port = *given;
  }
  const SiteNode* server = nullptr;
  for (const auto& node : site.nodes) {
    if (node.address.address == address) server = &node;
  }
  if (server == nullptr || !secrets.enrolment.contains(server->name)) {
    return fail(ErrorKind::not_found,
                fmt::format("the site has no node with the address {}", address.str()),
                fmt::format("the bootstrap node is {} ({})", site.bootstrap,
                            site.bootstrap_node().address.address.str()));
  }
  BP_TRY(auto key, PrivateKey::from_pem(secrets.operator_key));
  agent::OperatorOptions out{address, port, std::move(key), secrets.enrolment.at(server->name)};
  out.patience = std::chrono::minutes(2);
  return out;
}

Result<int> fetch_kubeconfig(const KubeconfigOptions& options) {
  BP_TRY(const auto site, read_site(options.site));
  BP_TRY(auto asking, operator_options(options, site));
  asking.user = options.user;
  BP_TRY(const auto text, agent::fetch_operator_kubeconfig(asking));
  BP_CHECK(write_file_atomic(options.output, text, 0600));
  fmt::print("{}: kubeconfig of {} for site {}\n", options.output, options.user, site.name);
  return 0;
}

Result<int> forget(const ForgetOptions& options, bool json) {
  BP_TRY(const auto site, read_site(options.site));
  if (site.find(options.node) == nullptr) {
    return fail(ErrorKind::not_found,
                fmt::format("site '{}' has no node '{}'", site.name, options.node),
                fmt::format("bedplate site validate {}", options.site));
  }
  BP_TRY(const auto asking, operator_options(options, site));
  BP_TRY(const bool forgotten, agent::forget_node(asking, options.node));
  if (json) {
    fmt::print("{}\n", dump_text(Json{{"node", options.node}, {"forgotten", forgotten}}));
  } else {
    fmt::print("{}: {}\n", options.node,
               forgotten ? "may enrol again" : "has not enrolled, nothing to forget");
  }
  return 0;
}

void add_server_options(CLI::App& command, ServerOptions& options) {
  command.add_option("--site", options.site, "Site file")->required();
  command.add_option("--secrets", options.secrets, "Secrets file (default: beside the site file)");
  command
      .add_option("--server", options.server, "Address of a control plane, with port if not 7445")
      ->required();
}

void add_node(CLI::App& app, Invocation& invocation) {
  auto* node = app.add_subcommand("node", "Change what a site knows about its nodes");
  node->require_subcommand(1);
  auto options = std::make_shared<ForgetOptions>();
  auto* command =
      node->add_subcommand("forget", "Let a node that was installed anew enrol once more");
  command->add_option("node", options->node, "Name of the node")->required();
  add_server_options(*command, *options);
  command->footer(
      "Example:\n  bedplate node forget node-2 --site site.yaml --server 192.0.2.11\n\n"
      "A node's enrolment secret is bound to the machine that used it first. Until the node has\n"
      "enrolled again, whoever holds a medium of the site could do so in its place.");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return forget(*options, invocation.json); };
  });
}

void add_kubeconfig(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<KubeconfigOptions>();
  auto* command = app.add_subcommand("kubeconfig", "Get a kubeconfig from a site's control plane");
  add_server_options(*command, *options);
  command->add_option("-o,--output", options->output, "Kubeconfig to write (mode 0600)")
      ->required();
  command->add_option("--user", options->user, "Name in the certificate")->capture_default_str();
  command->footer(
      "Example:\n  bedplate kubeconfig --site site.yaml --server 192.0.2.11 -o "
      "kubeconfig");
  command->callback([options, &invocation] {
    invocation.action = [options] { return fetch_kubeconfig(*options); };
  });
}

}  // namespace

void add_agent_commands(CLI::App& app, Invocation& invocation) {
  auto* agent_command = app.add_subcommand("agent", "Bring this node to what the site file says");
  agent_command->footer(
      "Runs as bedplate-agent.service, and may be killed at any instant.\n"
      "Examples, to see what it does:\n  bedplate status\n  journalctl -u bedplate-agent");
  agent_command->callback([&invocation] { invocation.action = [] { return agent::run_agent(); }; });

  auto* status = app.add_subcommand("status", "Show each step of this node's agent");
  status->footer(
      "Ends with 0 when the node is ready, 1 when not yet.\n"
      "Examples:\n  bedplate status\n  bedplate status --json");
  status->callback([&invocation] {
    invocation.action = [&invocation] { return show_status(invocation.json); };
  });

  auto* console = app.add_subcommand("console", "Show the status on a console, for good");
  console->footer(
      "Runs on the consoles of an installed node; takes no input.\nExample:\n  bedplate console");
  console->callback([&invocation] { invocation.action = [] { return show_console(); }; });

  add_kubeconfig(app, invocation);
  add_node(app, invocation);
}

}  // namespace bedplate

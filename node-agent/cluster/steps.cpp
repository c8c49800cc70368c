#include "node-agent/cluster/steps.hpp"

#include <system_error>

#include <fmt/format.h>

#include "core/file.hpp"
#include "core/text.hpp"
#include "node-agent/cluster/approver.hpp"
#include "node-agent/cluster/enrolment_client.hpp"
#include "node-agent/kubernetes/render.hpp"

namespace bedplate::agent {
namespace {

constexpr std::string_view etc = "/etc/kubernetes";

/// A bootstrap token that lives half an hour, good for the name of this node only (Approver). Its
/// value comes on standard output, never in argv.
Result<JoinMaterial> join_material(const Context& context, const std::string& node) {
  auto command =
      Context::kubeadm({"--kubeconfig", context.at("/etc/kubernetes/admin.conf").string(), "token",
                        "create", "--ttl", "30m", "--description", token_description(node)});
  command.timeout = std::chrono::minutes(5);
  auto token = context.runner->check(command);
  if (!token) {
    // Whatever the reason: to the node that asks it is "try again".
    return fail(ErrorKind::network, "the cluster is not ready to take nodes yet");
  }
  JoinMaterial out;
  BP_TRY(out.ca_certificate_pem, read_file(context.at("/etc/kubernetes/pki/ca.crt")));
  out.server = fmt::format("https://{}:7443", context.site.api_name());
  out.token = std::string(trimmed(*token));
  return out;
}

Result<std::string> operator_kubeconfig(const Context& context, const std::string& user) {
  auto made = context.runner->check(Context::kubeadm(
      {"kubeconfig", "user", "--client-name", user, "--org", "kubeadm:cluster-admins", "--config",
       context.at("/etc/kubernetes/bedplate/kubeadm.yaml").string()}));
  if (!made) return fail(ErrorKind::network, "the cluster is not ready yet: " + made.error().what);
  // kubeadm writes the name that is loopback on nodes; people are elsewhere.
  const auto inside = fmt::format("https://{}:7443", context.site.api_name());
  const auto outside = fmt::format("https://{}:6443", context.self.address.address.str());
  const auto at = made->find(inside);
  if (at == std::string::npos) return fail(ErrorKind::internal, "kubeadm's kubeconfig is unusual");
  return made->replace(at, inside.size(), outside);
}

ProbeResult probe_join(const Context& context) {
  for (const auto* path : {"/etc/kubernetes/kubelet.conf", "/etc/kubernetes/pki/ca.crt",
                           "/var/lib/kubelet/config.yaml"}) {
    if (!context.has_content(path)) return ProbeResult::missing(fmt::format("no {}", path));
  }
  return ProbeResult::satisfied();
}

/// What a join that was cut off may have left. The node is not in use yet: nothing is lost.
Result<void> clear_half_join(const Context& context) {
  for (const auto* path : {"/etc/kubernetes/bootstrap-kubelet.conf", "/etc/kubernetes/kubelet.conf",
                           "/etc/kubernetes/pki/ca.crt", "/var/lib/kubelet/config.yaml"}) {
    std::error_code code;
    std::filesystem::remove(context.at(path), code);
    if (code) return fail(system_error(code.value(), fmt::format("cannot remove {}", path)));
  }
  return {};
}

Result<void> join(const Context& context, const std::string& secret) {
  EnrolOptions options;
  options.server = context.site.bootstrap_node().address.address;
  options.port = node_api_port;
  options.node = context.self.name;
  options.secret = secret;
  options.state_directory = context.at(node_api_folder);
  BP_TRY(const auto material, enrol(options));
  BP_CHECK(clear_half_join(context));
  const auto folder = context.at(fmt::format("{}/bedplate", etc));
  BP_CHECK(make_directories(folder, 0700));
  BP_CHECK(write_file_atomic(folder / "discovery.conf",
                             render_discovery(material.server, material.ca_certificate_pem), 0600));
  BP_CHECK(write_file_atomic(
      folder / "join.yaml",
      render_kubeadm_join(context, (folder / "discovery.conf").string(), material.token), 0600));
  const auto joined = context.runner->check(Context::kubeadm(
      {"join", "--config", (folder / "join.yaml").string(), "--skip-phases=preflight"}));
  // The token has served, or another one is fetched for the next attempt: it need not lie on the
  // disk until it expires.
  BP_CHECK(remove_tree(folder / "join.yaml"));
  BP_CHECK(joined);
  BP_CHECK(note_kubelet_start(context));
  BP_CHECK(context.runner->check({"sync", "-f", context.at("/var/lib/bedplate").string()}));
  return {};
}

}  // namespace

std::unique_ptr<Step> node_api_step(const Context& context,
                                    std::map<std::string, std::string> enrolment,
                                    std::unique_ptr<NodeApi>& holder) {
  return make_step(
      "node-api", "serve the node API",
      [&holder]() -> Result<ProbeResult> {
        return holder ? ProbeResult::satisfied() : ProbeResult::missing();
      },
      [&context, &holder, enrolment = std::move(enrolment)]() -> Result<void> {
        NodeApiOptions options;
        options.address = context.self.address.address;
        options.port = node_api_port;
        options.state_directory = context.at(node_api_folder);
        options.node_name = context.self.name;
        options.enrolment = enrolment;
        options.operator_keys = context.site.trust.operator_keys;
        options.join_material = [&context, approver = std::make_shared<Approver>(context)](
                                    const std::string& node) -> Result<JoinMaterial> {
          BP_TRY(auto material, join_material(context, node));
          approver->wake();
          return material;
        };
        options.operator_kubeconfig = [&context](const std::string& user) {
          return operator_kubeconfig(context, user);
        };
        BP_TRY(holder, NodeApi::start(std::move(options)));
        return {};
      });
}

std::unique_ptr<Step> join_step(const Context& context, std::string secret) {
  return make_step(
      "join", fmt::format("enrol at {} and join the cluster", context.site.bootstrap),
      [&context]() -> Result<ProbeResult> { return probe_join(context); },
      [&context, secret = std::move(secret)] { return join(context, secret); });
}

}  // namespace bedplate::agent

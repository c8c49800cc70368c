// The cluster's first control plane: kubeadm phase by phase, each with a probe of its own.

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include "core/file.hpp"
#include "node-agent/context.hpp"
#include "node-agent/kubernetes/render.hpp"

namespace bedplate::agent {

std::unique_ptr<Step> make_kubelet_step(const Context& context);

namespace {

constexpr std::string_view config_path = "/var/lib/bedplate/etc/kubernetes/bedplate/kubeadm.yaml";
constexpr std::chrono::minutes api_patience{20};
/// How long an object that was seen in the cluster is taken to be there still. Looking costs a
/// kubectl process each, and somebody who deletes one waits that long for it to come back.
constexpr std::chrono::minutes object_age{5};

/// Satisfied when every file is there and not empty.
Result<ProbeResult> probe_files(const Context& context, const std::vector<std::string>& paths) {
  for (const auto& path : paths) {
    if (!context.has_content(path)) return ProbeResult::missing(path + " is missing");
  }
  return ProbeResult::satisfied();
}

Result<void> run_phase(const Context& context, const std::vector<std::string>& words) {
  std::vector<std::string> arguments{"init", "phase"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  arguments.insert(arguments.end(), {"--config", context.at(config_path).string()});
  BP_CHECK(context.runner->check(Context::kubeadm(std::move(arguments))));
  // What a phase made must survive a power cut as a whole before the next one builds on it.
  BP_CHECK(context.runner->check({"sync", "-f", context.at("/var/lib/bedplate").string()}));
  return {};
}

std::unique_ptr<Step> phase_step(const Context& context, std::string id, std::string describe,
                                 std::vector<std::string> words, std::vector<std::string> files) {
  return make_step(
      std::move(id), std::move(describe),
      [&context, files = std::move(files)] { return probe_files(context, files); },
      [&context, words = std::move(words)] { return run_phase(context, words); });
}

/// Objects of the cluster, named as kind/name, in one namespace or in none.
struct Objects {
  std::string space;
  std::vector<std::string> names;
};

/// One kubectl for all of them: on a slow machine each costs seconds.
Result<ProbeResult> probe_objects(const Context& context, const Objects& objects) {
  std::vector<std::string> get{"get", "--ignore-not-found", "-o", "name", "-n", objects.space};
  get.insert(get.end(), objects.names.begin(), objects.names.end());
  BP_TRY(const auto found, context.kubectl(get));
  const auto count = static_cast<std::size_t>(std::ranges::count(found, '\n'));
  if (count == objects.names.size()) return ProbeResult::satisfied();
  return ProbeResult::missing(
      fmt::format("{} of {} objects are there", count, objects.names.size()));
}

/// A phase whose result lies in the cluster: every object must be there.
std::unique_ptr<Step> object_step(const Context& context, std::string id, std::string describe,
                                  std::vector<std::string> words, Objects objects) {
  return make_step(
      std::move(id), std::move(describe),
      [&context, objects = std::move(objects)] { return probe_objects(context, objects); },
      [&context, words = std::move(words)] { return run_phase(context, words); });
}

std::vector<std::string> pki_files() {
  std::vector<std::string> out;
  for (const auto* name : {"ca.crt",
                           "ca.key",
                           "apiserver.crt",
                           "apiserver.key",
                           "apiserver-kubelet-client.crt",
                           "apiserver-kubelet-client.key",
                           "front-proxy-ca.crt",
                           "front-proxy-ca.key",
                           "front-proxy-client.crt",
                           "front-proxy-client.key",
                           "etcd/ca.crt",
                           "etcd/ca.key",
                           "etcd/server.crt",
                           "etcd/server.key",
                           "etcd/peer.crt",
                           "etcd/peer.key",
                           "etcd/healthcheck-client.crt",
                           "etcd/healthcheck-client.key",
                           "apiserver-etcd-client.crt",
                           "apiserver-etcd-client.key",
                           "sa.key",
                           "sa.pub"}) {
    out.push_back(fmt::format("/etc/kubernetes/pki/{}", name));
  }
  return out;
}

/// A half-made set of keys is made anew, but never once a cluster has used them.
std::unique_ptr<Step> certs_step(const Context& context) {
  return make_step(
      "kubeadm-certs", "make the cluster's authorities and certificates",
      [&context] { return probe_files(context, pki_files()); },
      [&context]() -> Result<void> {
        std::error_code code;
        if (std::filesystem::exists(context.at("/var/lib/etcd/member"), code)) {
          return fail(ErrorKind::conflict,
                      "certificates of a cluster that exists already are missing",
                      "restore /etc/kubernetes/pki from a backup of this node");
        }
        BP_CHECK(remove_tree(context.at("/etc/kubernetes/pki")));
        return run_phase(context, {"certs", "all"});
      });
}

/// kubeadm keeps a kubeconfig that is there, and refuses one that is empty, which is what a kill or
/// a power cut in the middle of its write leaves: such a file is taken away first.
std::unique_ptr<Step> kubeconfig_step(const Context& context) {
  std::vector<std::string> files;
  for (const auto* name : {"admin", "super-admin", "kubelet", "controller-manager", "scheduler"}) {
    files.push_back(fmt::format("/etc/kubernetes/{}.conf", name));
  }
  return make_step(
      "kubeadm-kubeconfig", "write the components' kubeconfigs",
      [&context, files] { return probe_files(context, files); },
      [&context, files]() -> Result<void> {
        for (const auto& path : files) {
          if (context.has_content(path)) continue;
          std::error_code code;
          std::filesystem::remove(context.at(path), code);
          if (code) return fail(system_error(code.value(), "cannot remove " + path));
        }
        return run_phase(context, {"kubeconfig", "all"});
      });
}

/// Asked by ourselves, without an account (ClusterRole system:public-info-viewer): a kubectl a
/// second would take from a small machine the processor that the API server needs to start.
bool api_is_ready(const Context& context) {
  const auto authority = read_file(context.at("/etc/kubernetes/pki/ca.crt"));
  if (!authority) return false;
  HttpRequest request;
  request.url = fmt::format("https://{}:6443/readyz", context.self.address.address.str());
  request.tls.ca_pem = *authority;
  request.connect_timeout = std::chrono::seconds(2);
  request.stall_timeout = std::chrono::seconds(10);
  const auto answer = context.http->send(request);
  return answer && answer->status == 200;
}

std::unique_ptr<Step> api_step(const Context& context) {
  return make_step(
      "api-healthy", "wait for the API server",
      [&context]() -> Result<ProbeResult> {
        return api_is_ready(context) ? ProbeResult::satisfied() : ProbeResult::missing();
      },
      [&context]() -> Result<void> {
        const auto end = context.clock->monotonic() + api_patience;
        while (context.clock->monotonic() < end) {
          if (api_is_ready(context)) return {};
          context.clock->sleep(std::chrono::seconds(1));
        }
        return fail(ErrorKind::timeout, "the API server did not become ready within 20 minutes",
                    "journalctl -u kubelet; the logs of its container are in /var/log/pods");
      });
}

constexpr std::string_view admin_access = R"(apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "kubeadm:cluster-admins"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "kubeadm:cluster-admins"}
)";

/// kubectl with one of kubeadm's kubeconfigs.
Command kubectl_as(const Context& context, std::string_view kubeconfig,
                   std::vector<std::string> words) {
  Command out;
  out.argv = {Context::program("kubectl"), "--kubeconfig",
              context.at("/etc/kubernetes").append(kubeconfig).string(), "--request-timeout=60s"};
  out.argv.insert(out.argv.end(), words.begin(), words.end());
  out.timeout = std::chrono::minutes(2);
  return out;
}

/// The group of admin.conf has no rights until somebody binds it to cluster-admin. kubeadm does so
/// in whichever phase first talks to the cluster; our probes talk to it before.
std::unique_ptr<Step> admin_step(const Context& context) {
  return make_step(
      "admin-access", "give the administrators' group its rights",
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const auto answer,
               context.runner->run(kubectl_as(context, "admin.conf", {"auth", "can-i", "*", "*"})));
        return answer.status == 0 ? ProbeResult::satisfied() : ProbeResult::missing();
      },
      [&context]() -> Result<void> {
        auto apply = kubectl_as(context, "super-admin.conf", {"apply", "--server-side", "-f", "-"});
        apply.input = admin_access;
        BP_CHECK(context.runner->check(apply));
        return {};
      });
}

std::unique_ptr<Step> mark_step(const Context& context) {
  return make_step(
      "kubeadm-mark", "mark the node as a control plane",
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const auto found,
               context.kubectl(
                   {"get", "nodes", "-l", "node-role.kubernetes.io/control-plane", "-o", "name"}));
        if (found.find("node/" + context.self.name + "\n") != std::string::npos) {
          return ProbeResult::satisfied();
        }
        return ProbeResult::missing();
      },
      [&context] { return run_phase(context, {"mark-control-plane"}); });
}

/// kubeadm refuses to run its CoreDNS phase twice with versions it does not know. Its manifests,
/// applied, may be applied as often as one likes.
Result<void> apply_coredns(const Context& context) {
  BP_TRY(auto manifests, context.runner->check(Context::kubeadm(
                             {"init", "phase", "addon", "coredns", "--print-manifest", "--config",
                              context.at(config_path).string()})));
  if (context.self.dns.empty()) manifests = without_forward(manifests);
  BP_CHECK(context.kubectl({"apply", "--server-side", "--force-conflicts", "-f", "-"}, manifests));
  return {};
}

std::unique_ptr<Step> coredns_step(const Context& context) {
  return make_step(
      "addon-coredns", "install CoreDNS",
      [&context] {
        return probe_objects(context,
                             {"kube-system",
                              {"deployment/coredns", "configmap/coredns", "service/kube-dns",
                               "clusterrole/system:coredns", "clusterrolebinding/system:coredns",
                               "serviceaccount/coredns"}});
      },
      [&context] { return apply_coredns(context); });
}

std::unique_ptr<Step> dns_ready_step(const Context& context) {
  return make_step(
      "dns-ready", "wait for CoreDNS",
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const auto deployment,
               context.kubectl_json({"get", "deployment", "coredns", "-n", "kube-system"}));
        const auto status = deployment.value("status", Json::object());
        if (status.value("availableReplicas", 0) >= 1) return ProbeResult::satisfied();
        return ProbeResult::missing("no replica is available");
      },
      [&context]() -> Result<void> {
        Command command;
        command.argv = {Context::program("kubectl"),
                        "--kubeconfig",
                        context.at(context.kubeconfig()).string(),
                        "rollout",
                        "status",
                        "deployment/coredns",
                        "-n",
                        "kube-system",
                        "--timeout=900s"};
        command.timeout = std::chrono::minutes(16);
        BP_CHECK(context.runner->check(command));
        return {};
      });
}

/// kubeadm lets Kubernetes approve the kubelet certificate of any node's name to whoever has a
/// token. Here a token is for one node, and the agent looks at the name (cluster/approver.hpp).
std::unique_ptr<Step> no_auto_approval_step(const Context& context) {
  static constexpr auto binding = "kubeadm:node-autoapprove-bootstrap";
  return make_step(
      "no-auto-approval", "leave the approval of new nodes to the agent",
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const auto found, context.kubectl({"get", "clusterrolebinding", binding,
                                                  "--ignore-not-found", "-o", "name"}));
        return found.empty() ? ProbeResult::satisfied() : ProbeResult::missing();
      },
      [&context]() -> Result<void> {
        BP_CHECK(context.kubectl({"delete", "clusterrolebinding", binding, "--ignore-not-found"}));
        return {};
      });
}

/// Each phase makes its objects one after the other, and may be cut off between any two: all of
/// them are looked for (kubeadm's phases uploadconfig, kubelet, bootstraptoken and addons/proxy).
StepList object_steps(const Context& context) {
  StepList steps;
  steps.push_back(admin_step(context));
  steps.push_back(
      object_step(context, "kubeadm-upload-config", "store the cluster's configuration",
                  {"upload-config", "all"},
                  {"kube-system",
                   {"configmap/kubeadm-config", "role/kubeadm:nodes-kubeadm-config",
                    "rolebinding/kubeadm:nodes-kubeadm-config", "configmap/kubelet-config",
                    "role/kubeadm:kubelet-config", "rolebinding/kubeadm:kubelet-config"}}));
  steps.push_back(mark_step(context));
  const std::string binding = "clusterrolebinding/kubeadm:";
  steps.push_back(object_step(
      context, "kubeadm-bootstrap-token", "let enrolled nodes bootstrap their kubelets",
      {"bootstrap-token", "--skip-token-print"},
      {"kube-public",
       {"clusterrole/kubeadm:get-nodes", binding + "get-nodes", binding + "kubelet-bootstrap",
        binding + "node-autoapprove-certificate-rotation", binding + "apiserver-kubelet-client",
        "configmap/cluster-info", "role/kubeadm:bootstrap-signer-clusterinfo",
        "rolebinding/kubeadm:bootstrap-signer-clusterinfo"}}));
  steps.push_back(no_auto_approval_step(context));
  steps.push_back(
      object_step(context, "addon-kube-proxy", "install kube-proxy", {"addon", "kube-proxy"},
                  {"kube-system",
                   {"configmap/kube-proxy", "daemonset/kube-proxy", "serviceaccount/kube-proxy",
                    binding + "node-proxier", "role/kube-proxy", "rolebinding/kube-proxy"}}));
  steps.push_back(coredns_step(context));
  return steps;
}

}  // namespace

StepList control_plane_steps(const Context& context) {
  StepList steps;
  steps.push_back(make_step(
      "kubeadm-config", "write kubeadm's configuration",
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const auto wanted, render_kubeadm_init(context));
        const auto present = read_file(context.at(config_path));
        return present && *present == wanted ? ProbeResult::satisfied() : ProbeResult::missing();
      },
      [&context]() -> Result<void> {
        BP_TRY(const auto wanted, render_kubeadm_init(context));
        const auto path = context.at(config_path);
        BP_CHECK(make_directories(path.parent_path()));
        return write_file_atomic(path, wanted, 0600);
      }));
  steps.push_back(certs_step(context));
  steps.push_back(kubeconfig_step(context));
  const std::string etc = "/etc/kubernetes/";
  steps.push_back(phase_step(context, "kubeadm-etcd", "describe etcd to kubelet", {"etcd", "local"},
                             {etc + "manifests/etcd.yaml"}));
  steps.push_back(phase_step(
      context, "kubeadm-control-plane", "describe the control plane to kubelet",
      {"control-plane", "all"},
      {etc + "manifests/kube-apiserver.yaml", etc + "manifests/kube-controller-manager.yaml",
       etc + "manifests/kube-scheduler.yaml"}));
  steps.push_back(make_step(
      "kubeadm-kubelet-start", "configure and start kubelet",
      [&context] {
        return probe_files(context,
                           {"/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env"});
      },
      [&context]() -> Result<void> {
        BP_CHECK(run_phase(context, {"kubelet-start"}));
        return note_kubelet_start(context);
      }));
  steps.push_back(make_kubelet_step(context));
  steps.push_back(api_step(context));
  for (auto& step : object_steps(context)) {
    steps.push_back(make_lasting(std::move(step), object_age, *context.clock));
  }
  return steps;
}

StepList worker_steps(const Context& context) {
  StepList steps;
  steps.push_back(make_kubelet_step(context));
  return steps;
}

std::unique_ptr<Step> make_dns_ready_step(const Context& context) {
  return dns_ready_step(context);
}

}  // namespace bedplate::agent

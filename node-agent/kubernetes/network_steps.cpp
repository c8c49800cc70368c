// The basic network plug-in: a bridge on each node, and host routes between the nodes. For
// rehearsals only; a site's default is Cilium.

#include <fmt/format.h>

#include "core/file.hpp"
#include "node-agent/context.hpp"
#include "node-agent/kubernetes/render.hpp"

namespace bedplate::agent {

std::unique_ptr<Step> make_dns_ready_step(const Context& context);

namespace {

constexpr std::string_view cni_path = "/etc/cni/net.d/10-bedplate.conflist";
constexpr std::chrono::minutes patience{15};

/// Kubelets may read only their own Node (AuthorizeNodeWithSelectors); routes need all of them.
constexpr std::string_view route_access = R"(apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "bedplate:node-routes"}
rules:
- {apiGroups: [""], resources: [nodes], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "bedplate:node-routes"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "bedplate:node-routes"}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:nodes"}
)";

Result<std::string> own_pod_cidr(const Context& context) {
  BP_TRY(const auto node, context.kubectl_json({"get", "node", context.self.name}));
  return node.value("spec", Json::object()).value("podCIDR", std::string());
}

Result<void> wait_until(const Context& context, const std::string& what,
                        const std::function<Result<bool>()>& done) {
  const auto end = context.clock->monotonic() + patience;
  while (context.clock->monotonic() < end) {
    BP_TRY(const bool yes, done());
    if (yes) return {};
    context.clock->sleep(std::chrono::seconds(1));
  }
  return fail(ErrorKind::timeout, fmt::format("{} within {} minutes", what, patience.count()),
              "bedplate status; journalctl -u kubelet");
}

std::unique_ptr<Step> access_step(const Context& context) {
  return make_step(
      "route-access", "let nodes read each other's pod networks",
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const auto found,
               context.kubectl({"get", "clusterrolebinding", "bedplate:node-routes",
                                "--ignore-not-found", "-o", "name"}));
        return found.empty() ? ProbeResult::missing() : ProbeResult::satisfied();
      },
      [&context]() -> Result<void> {
        BP_CHECK(context.kubectl({"apply", "--server-side", "-f", "-"}, std::string(route_access)));
        return {};
      });
}

std::unique_ptr<Step> cni_step(const Context& context) {
  return make_step(
      "network-plugin", "configure the basic network plug-in",
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const auto cidr, own_pod_cidr(context));
        const auto present = read_file(context.at(cni_path));
        if (!cidr.empty() && present && *present == render_cni(cidr)) {
          return ProbeResult::satisfied(cidr);
        }
        return ProbeResult::missing();
      },
      [&context]() -> Result<void> {
        std::string cidr;
        BP_CHECK(wait_until(context, "the node got no pod network", [&]() -> Result<bool> {
          BP_TRY(cidr, own_pod_cidr(context));
          return !cidr.empty();
        }));
        BP_CHECK(make_directories(context.at(cni_path).parent_path()));
        return write_file_atomic(context.at(cni_path), render_cni(cidr));
      });
}

struct Route {
  std::string network;
  std::string via;
};

Result<std::vector<Route>> wanted_routes(const Context& context) {
  BP_TRY(const auto nodes, context.kubectl_json({"get", "nodes"}));
  std::vector<Route> out;
  for (const auto& node : nodes.value("items", Json::array())) {
    const auto name = node.value("metadata", Json::object()).value("name", std::string());
    const auto cidr = node.value("spec", Json::object()).value("podCIDR", std::string());
    if (name == context.self.name || cidr.empty()) continue;
    for (const auto& address :
         node.value("status", Json::object()).value("addresses", Json::array())) {
      if (address.value("type", "") == "InternalIP") {
        out.push_back({cidr, address.value("address", "")});
      }
    }
  }
  return out;
}

std::unique_ptr<Step> routes_step(const Context& context) {
  return make_step(
      "pod-routes", "route to the pods of the other nodes",
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const auto wanted, wanted_routes(context));
        for (const auto& route : wanted) {
          BP_TRY(const auto present, context.runner->check({"ip", "route", "show", route.network}));
          if (present.find("via " + route.via + " ") == std::string::npos) {
            return ProbeResult::missing(route.network);
          }
        }
        return ProbeResult::satisfied(fmt::format("{} routes", wanted.size()));
      },
      [&context]() -> Result<void> {
        BP_TRY(const auto wanted, wanted_routes(context));
        for (const auto& route : wanted) {
          BP_CHECK(
              context.runner->check({"ip", "route", "replace", route.network, "via", route.via}));
        }
        return {};
      });
}

Result<bool> is_ready(const Context& context) {
  BP_TRY(const auto node, context.kubectl_json({"get", "node", context.self.name}));
  for (const auto& condition :
       node.value("status", Json::object()).value("conditions", Json::array())) {
    if (condition.value("type", "") == "Ready") return condition.value("status", "") == "True";
  }
  return false;
}

std::unique_ptr<Step> ready_step(const Context& context) {
  return make_step(
      "node-ready", "wait until the node is Ready",
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const bool ready, is_ready(context));
        return ready ? ProbeResult::satisfied() : ProbeResult::missing();
      },
      [&context] {
        return wait_until(context, "the node did not become Ready",
                          [&] { return is_ready(context); });
      });
}

}  // namespace

StepList network_steps(const Context& context) {
  StepList steps;
  if (context.site.plugin == NetworkPlugin::cilium) {
    steps.push_back(make_step(
        "network-plugin", "install Cilium",
        []() -> Result<ProbeResult> {
          return ProbeResult::conflict("this version cannot install Cilium yet");
        },
        []() -> Result<void> { return {}; }));
    return steps;
  }
  if (context.bootstrap()) steps.push_back(access_step(context));
  steps.push_back(cni_step(context));
  steps.push_back(routes_step(context));
  steps.push_back(ready_step(context));
  if (context.bootstrap()) steps.push_back(make_dns_ready_step(context));
  return steps;
}

}  // namespace bedplate::agent

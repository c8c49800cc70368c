#include "node-agent/kubernetes/render.hpp"

#include <fmt/format.h>

#include "core/digest.hpp"
#include "node-agent/runtime/render.hpp"

namespace bedplate::agent {
namespace {

/// Long, because a machine may be emulated: a wait that ends too early costs a whole attempt.
Json timeouts() {
  return {{"controlPlaneComponentHealthCheck", "15m0s"},
          {"kubeletHealthCheck", "15m0s"},
          {"kubernetesAPICall", "10m0s"},
          {"etcdAPICall", "10m0s"},
          {"tlsBootstrap", "15m0s"},
          {"discovery", "15m0s"}};
}

Json node_registration(const Context& context) {
  Json out{{"name", context.self.name},
           {"criSocket", fmt::format("unix://{}", containerd_socket)},
           {"imagePullPolicy", "IfNotPresent"},
           {"imagePullSerial", false},
           {"ignorePreflightErrors", context.overrides.ignore_preflight_errors}};
  // On a site of one node the control plane has to carry everything.
  if (context.site.nodes.size() == 1) out["taints"] = Json::array();
  return out;
}

Json kubelet_configuration(const Context& context) {
  Json out{{"apiVersion", "kubelet.config.k8s.io/v1beta1"},
           {"kind", "KubeletConfiguration"},
           {"cgroupDriver", "systemd"},
           {"clusterDNS", {context.site.service_network.nth(10).str()}},
           {"clusterDomain", "cluster.local"},
           {"resolvConf", "/run/bedplate/resolv.conf"},
           {"containerRuntimeEndpoint", fmt::format("unix://{}", containerd_socket)},
           // Nothing that was brought to the site is thrown away for being unused.
           {"imageGCHighThresholdPercent", 100},
           {"imageGCLowThresholdPercent", 99},
           {"evictionHard",
            {{"memory.available", "100Mi"},
             {"nodefs.available", "500Mi"},
             {"imagefs.available", "500Mi"}}}};
  out.merge_patch(context.overrides.kubelet);
  return out;
}

Json proxy_configuration(const Context& context) {
  Json out{{"apiVersion", "kubeproxy.config.k8s.io/v1alpha1"},
           {"kind", "KubeProxyConfiguration"},
           {"mode", "nftables"},
           {"clusterCIDR", context.site.pod_network.str()}};
  out.merge_patch(context.overrides.kube_proxy);
  return out;
}

Json cluster_configuration(const Context& context, const std::string& etcd_tag,
                           const std::string& dns_tag) {
  Json names{"127.0.0.1", context.site.api_name()};
  for (const auto* node : context.site.control_planes()) {
    names.push_back(node->address.address.str());
    names.push_back(node->name);
  }
  return {{"apiVersion", "kubeadm.k8s.io/v1beta4"},
          {"kind", "ClusterConfiguration"},
          {"clusterName", context.site.name},
          {"kubernetesVersion", context.site.kubernetes_version},
          {"imageRepository", "registry.k8s.io"},
          {"controlPlaneEndpoint", context.site.api_name() + ":7443"},
          {"encryptionAlgorithm", "ECDSA-P256"},
          {"networking",
           {{"podSubnet", context.site.pod_network.str()},
            {"serviceSubnet", context.site.service_network.str()},
            {"dnsDomain", "cluster.local"}}},
          {"apiServer", {{"certSANs", names}}},
          {"etcd", {{"local", {{"dataDir", "/var/lib/etcd"}, {"imageTag", etcd_tag}}}}},
          {"dns", {{"imageTag", dns_tag}, {"imageRepository", "registry.k8s.io/coredns"}}}};
}

}  // namespace

Result<std::string> render_kubeadm_init(const Context& context) {
  BP_TRY(const auto etcd_tag, context.bundle.tag_of("registry.k8s.io/etcd"));
  BP_TRY(const auto dns_tag, context.bundle.tag_of("registry.k8s.io/coredns/coredns"));
  const Json init{{"apiVersion", "kubeadm.k8s.io/v1beta4"},
                  {"kind", "InitConfiguration"},
                  {"localAPIEndpoint",
                   {{"advertiseAddress", context.self.address.address.str()}, {"bindPort", 6443}}},
                  {"nodeRegistration", node_registration(context)},
                  {"timeouts", timeouts()}};
  std::string out;
  for (const auto& document : {init, cluster_configuration(context, etcd_tag, dns_tag),
                               kubelet_configuration(context), proxy_configuration(context)}) {
    out += "---\n" + dump_text(document, 2) + "\n";
  }
  return out;
}

std::string render_kubeadm_join(const Context& context, std::string_view discovery_file,
                                std::string_view token) {
  return dump_text(
             Json{{"apiVersion", "kubeadm.k8s.io/v1beta4"},
                  {"kind", "JoinConfiguration"},
                  {"discovery",
                   {{"file", {{"kubeConfigPath", discovery_file}}}, {"tlsBootstrapToken", token}}},
                  {"nodeRegistration", node_registration(context)},
                  {"timeouts", timeouts()}},
             2) +
         "\n";
}

std::string render_discovery(std::string_view server, std::string_view ca_pem) {
  return dump_text(Json{{"apiVersion", "v1"},
                        {"kind", "Config"},
                        {"clusters",
                         {{{"name", ""},
                           {"cluster",
                            {{"server", server},
                             {"certificate-authority-data", base64_encode(ca_pem)}}}}}},
                        {"contexts", Json::array()},
                        {"users", Json::array()},
                        {"current-context", ""}},
                   2) +
         "\n";
}

std::string without_forward(std::string_view manifests) {
  std::string out;
  bool inside = false;
  while (!manifests.empty()) {
    const auto end = std::min(manifests.find('\n'), manifests.size() - 1);
    const auto line = manifests.substr(0, end + 1);
    manifests.remove_prefix(end + 1);
    const auto first = line.find_first_not_of(' ');
    const auto text = first == std::string_view::npos ? line : line.substr(first);
    if (text.starts_with("forward . ")) {
      inside = text.find('{') != std::string_view::npos;
      continue;
    }
    if (inside) {
      inside = !text.starts_with('}');
      continue;
    }
    if (text == "loop\n") continue;
    out += line;
  }
  return out;
}

std::string render_cni(std::string_view pod_cidr) {
  return dump_text(Json{{"cniVersion", "1.0.0"},
                        {"name", "bedplate"},
                        {"plugins",
                         {{{"type", "bridge"},
                           {"bridge", "cni0"},
                           {"isGateway", true},
                           {"ipMasq", false},
                           {"hairpinMode", true},
                           {"ipam",
                            {{"type", "host-local"},
                             {"ranges", Json::array({Json::array({Json{{"subnet", pod_cidr}}})})},
                             {"routes", Json::array({Json{{"dst", "0.0.0.0/0"}}})}}}},
                          {{"type", "portmap"},
                           {"capabilities", {{"portMappings", true}}},
                           {"backend", "nftables"}}}}},
                   2) +
         "\n";
}

}  // namespace bedplate::agent

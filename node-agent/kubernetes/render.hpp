#pragma once

#include <string>
#include <string_view>

#include "node-agent/context.hpp"

namespace bedplate::agent {

/// kubeadm's configuration of the bootstrap node (v1beta4: Init- and ClusterConfiguration, kubelet
/// and kube-proxy), with the tags of etcd and CoreDNS that the bundle has.
Result<std::string> render_kubeadm_init(const Context& context);
/// JoinConfiguration of a worker; `discovery_file` is a kubeconfig with the cluster's CA.
std::string render_kubeadm_join(const Context& context, std::string_view discovery_file,
                                std::string_view token);
/// A kubeconfig that says where the cluster is and whom to trust, and nothing about who we are.
std::string render_discovery(std::string_view server, std::string_view ca_pem);
/// CoreDNS's manifests as kubeadm prints them, without what a site without DNS servers cannot have:
/// `forward` to /etc/resolv.conf (and `loop`, which only guards it).
std::string without_forward(std::string_view manifests);
/// CNI configuration list (CNI spec 1.0.0) of the basic plug-in for the node's pod network.
std::string render_cni(std::string_view pod_cidr);

}  // namespace bedplate::agent

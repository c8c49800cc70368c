#pragma once

#include <string>
#include <string_view>

#include "node-agent/context.hpp"

namespace bedplate::agent {

inline constexpr std::string_view registry_address = "127.0.0.1:5005";
inline constexpr std::string_view balancer_address = "127.0.0.1:7443";
inline constexpr std::string_view containerd_socket = "/run/containerd/containerd.sock";

/// containerd's configuration (version 3). `sandbox` is the pause image that kubeadm wants.
std::string render_containerd(const Overrides& overrides, std::string_view sandbox);
/// hosts.toml (containerd's hosts.md): one mirror, the bundle registry, for every registry.
/// `server` is set too, so that nothing is ever asked of anyone else.
std::string render_mirror();
/// haproxy: TCP from loopback to the API servers of all control planes.
std::string render_balancer(const Site& site);

std::string render_registry_unit();
std::string render_containerd_unit();
std::string render_balancer_unit();
std::string render_kubelet_unit(const Context& context);

}  // namespace bedplate::agent

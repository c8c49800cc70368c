#include "node-agent/runtime/render.hpp"

#include <fmt/format.h>

namespace bedplate::agent {

std::string render_containerd(const Overrides& overrides, std::string_view sandbox) {
  return fmt::format(R"(# Written by the Bedplate agent.
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
address = "{}"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
# An image is unpacked and synced before it is said to be there: else a power cut soon after leaves
# it with empty programs for good. The transfer service cannot sync.
use_local_image_pull = true
image_pull_with_sync_fs = true

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{}"

[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"

[plugins."io.containerd.cri.v1.runtime"]
{}
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/opt/cni/bin"]
conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "/opt/bedplate/current/bin/runc"
SystemdCgroup = {}
)",
                     containerd_socket, sandbox,
                     overrides.containerd_extra.empty() ? "" : overrides.containerd_extra + "\n",
                     overrides.systemd_cgroup);
}

std::string render_mirror() {
  return fmt::format(R"(# Written by the Bedplate agent: every image comes from the bundle.
server = "http://{0}"

[host."http://{0}"]
capabilities = ["pull", "resolve"]
dial_timeout = "5s"
)",
                     registry_address);
}

std::string render_balancer(const Site& site) {
  std::string out = fmt::format(R"(# Written by the Bedplate agent.
global
  maxconn 4096

defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  retries 3
  option redispatch

frontend kubernetes-api
  bind {}
  default_backend control-planes

backend control-planes
  balance roundrobin
  default-server check inter 3s fall 3 rise 1 on-marked-down shutdown-sessions
)",
                                balancer_address);
  for (const auto* node : site.control_planes()) {
    out += fmt::format("  server {} {}:6443\n", node->name, node->address.address.str());
  }
  return out;
}

std::string render_registry_unit() {
  return fmt::format(R"([Unit]
Description=Bundle registry: serves the site's bundle to this node

[Service]
Type=notify
ExecStart=/usr/bin/bedplate bundle serve --bundle /var/lib/bedplate/site.bundle --listen {} --trust /var/lib/bedplate/site.yaml
Restart=always
RestartSec=1
)",
                     registry_address);
}

std::string render_containerd_unit() {
  return R"([Unit]
Description=containerd of the node payload
After=dbus.socket

[Service]
Type=notify
Environment=PATH=/opt/bedplate/current/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/opt/bedplate/current/bin/containerd --config /etc/containerd/config.toml
Restart=always
RestartSec=2
Delegate=yes
KillMode=process
OOMScoreAdjust=-999
LimitNOFILE=1048576
TasksMax=infinity
)";
}

std::string render_balancer_unit() {
  return R"([Unit]
Description=Balancer from loopback to the site's API servers

[Service]
Type=notify
ExecStart=/usr/sbin/haproxy -Ws -f /run/bedplate/haproxy.cfg -p /run/bedplate/haproxy.pid
Restart=always
RestartSec=1
)";
}

std::string render_kubelet_unit(const Context& context) {
  // kubeadm writes config.yaml and kubeadm-flags.env; before that there is nothing to start.
  return fmt::format(R"([Unit]
Description=kubelet of the node payload
ConditionPathExists=/var/lib/kubelet/config.yaml
StartLimitIntervalSec=0

[Service]
Environment=PATH=/opt/bedplate/current/bin:/usr/sbin:/usr/bin:/sbin:/bin
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/opt/bedplate/current/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml --node-ip={} --hostname-override={} $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=2
OOMScoreAdjust=-999
KillMode=process
)",
                     context.self.address.address.str(), context.self.name);
}

}  // namespace bedplate::agent

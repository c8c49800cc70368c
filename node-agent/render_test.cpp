// What the agent writes for other programs, against golden files.

#include "node-agent/host/render.hpp"

#include <cstdlib>

#include <gtest/gtest.h>

#include "core/file.hpp"
#include "node-agent/context.hpp"
#include "node-agent/kubernetes/render.hpp"
#include "node-agent/runtime/render.hpp"

namespace bedplate::agent {
namespace {

const std::string source = BEDPLATE_SOURCE_DIR;

Context node(const std::string& name) {
  Context context;
  context.site = read_site(source + "/examples/two-nodes.yaml").value();
  context.self = *context.site.find(name);
  context.bundle.images = {"registry.k8s.io/etcd:3.6.16-0",
                           "registry.k8s.io/coredns/coredns:v1.14.7",
                           "registry.k8s.io/pause:3.10.2"};
  context.bundle.payload_version = "v1.36.3";
  return context;
}

/// Compares with testdata/<name>; BEDPLATE_UPDATE_GOLDEN=1 writes it instead.
void expect_golden(const std::string& name, const std::string& text) {
  const auto path = source + "/node-agent/testdata/" + name;
  if (std::getenv("BEDPLATE_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(make_directories(source + "/node-agent/testdata"));
    ASSERT_TRUE(write_file_atomic(path, text));
  }
  EXPECT_EQ(read_file(path).value_or("(missing)"), text) << name;
}

TEST(Render, Host) {
  const auto context = node("node-1");
  expect_golden("hosts", render_hosts(context.site));
  expect_golden("10-bedplate.network", render_network(context.self));
  EXPECT_EQ(render_resolv_conf(context.self), "# The site has no DNS server.\n");
}

TEST(Render, WithoutTimeServersTheBootstrapNodeKeepsTheTime) {
  auto context = node("node-1");
  expect_golden("chrony-bootstrap.conf", render_chrony(context.site, context.self));
  context = node("node-2");
  expect_golden("chrony-worker.conf", render_chrony(context.site, context.self));
  expect_golden("bedplate-time.service", render_chrony_unit());
}

TEST(Render, ANodeAsksItsOwnTimeServers) {
  auto context = node("node-2");
  context.self.ntp = {"192.0.2.53", "time.example"};
  const auto text = render_chrony(context.site, context.self);
  EXPECT_NE(text.find("server 192.0.2.53 iburst\nserver time.example iburst\n"), std::string::npos);
  EXPECT_EQ(text.find("192.0.2.11"), std::string::npos);
  context = node("node-1");
  context.self.ntp = {"192.0.2.53"};
  const auto first = render_chrony(context.site, context.self);
  EXPECT_NE(first.find("server 192.0.2.53 iburst\nlocal stratum 10 orphan\nallow 192.0.2.12\n"),
            std::string::npos);
}

TEST(Render, ANetworkWithAGatewayNamesIt) {
  auto context = node("node-1");
  context.self.gateway = Ipv4::parse("192.0.2.1").value();
  context.self.dns = {Ipv4::parse("192.0.2.53").value()};
  const auto text = render_network(context.self);
  EXPECT_NE(text.find("Gateway=192.0.2.1\n"), std::string::npos);
  EXPECT_EQ(render_network(node("node-1").self).find("Gateway"), std::string::npos);
  EXPECT_EQ(render_resolv_conf(context.self), "nameserver 192.0.2.53\n");
}

TEST(Render, Runtime) {
  const auto context = node("node-1");
  expect_golden("containerd.toml", render_containerd({}, "registry.k8s.io/pause:3.10.2"));
  expect_golden("hosts.toml", render_mirror());
  expect_golden("haproxy.cfg", render_balancer(context.site));
  expect_golden("kubelet.service", render_kubelet_unit(context));
}

TEST(Render, AMirrorNeverLeavesTheNode) {
  const auto text = render_mirror();
  EXPECT_NE(text.find("server = \"http://127.0.0.1:5005\""), std::string::npos);
  EXPECT_EQ(text.find("https://"), std::string::npos);
}

TEST(Render, Kubeadm) {
  expect_golden("kubeadm-init.yaml", render_kubeadm_init(node("node-1")).value());
  expect_golden("kubeadm-join.json",
                render_kubeadm_join(node("node-2"), "/d.conf", "abcdef.0123456789abcdef"));
  expect_golden("discovery.json", render_discovery("https://api.two-nodes.example:7443", "PEM"));
  expect_golden("10-bedplate.conflist", render_cni("10.244.1.0/24"));
}

TEST(Render, AnImageThatTheBundleLacksIsSaid) {
  auto context = node("node-1");
  context.bundle.images.clear();
  const auto refused = render_kubeadm_init(context);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::not_found);
  EXPECT_NE(refused.error().what.find("registry.k8s.io/etcd"), std::string::npos);
}

TEST(Render, OverridesReachTheirFiles) {
  auto context = node("node-1");
  context.overrides.kubelet = Json{{"failSwapOn", false}};
  context.overrides.kube_proxy = Json{{"conntrack", {{"min", 0}}}};
  context.overrides.systemd_cgroup = false;
  const auto text = render_kubeadm_init(context).value();
  EXPECT_NE(text.find("\"failSwapOn\": false"), std::string::npos);
  EXPECT_NE(text.find("\"min\": 0"), std::string::npos);
  EXPECT_NE(render_containerd(context.overrides, "p").find("SystemdCgroup = false"),
            std::string::npos);
}

TEST(Render, ASiteOfOneNodeIsNotTainted) {
  auto context = node("node-1");
  EXPECT_EQ(render_kubeadm_init(context)->find("taints"), std::string::npos);
  context.site.nodes.resize(1);
  EXPECT_NE(render_kubeadm_init(context)->find("\"taints\": []"), std::string::npos);
}

TEST(Render, CoreDnsWithoutAnUpstream) {
  EXPECT_EQ(
      without_forward("  .:53 {\n    errors\n    forward . /etc/resolv.conf {\n"
                      "       max_concurrent 1000\n    }\n    cache 30\n    loop\n    reload\n"),
      "  .:53 {\n    errors\n    cache 30\n    reload\n");
}

TEST(Overrides, AbsentIsNoneAndTyposAreFound) {
  auto folder = *TemporaryDirectory::create("bedplate-overrides");
  const auto path = folder.path() / "overrides.yaml";
  EXPECT_TRUE(Overrides::read(path)->in_effect.empty());
  ASSERT_TRUE(write_file_atomic(path, "kubelets: {}\n"));
  const auto refused = Overrides::read(path);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("did you mean 'kubelet'?"), std::string::npos);
}

TEST(Overrides, TheLabsOwnAreReadAndEachIsNamed) {
  const auto read = Overrides::read(source + "/qemu-tests/lab/hosts/overrides.yaml");
  ASSERT_TRUE(read) << read.error().render();
  EXPECT_EQ(read->in_effect.size(), 7U);
  EXPECT_TRUE(read->network_preconfigured);
  EXPECT_TRUE(read->match_unchecked);
  EXPECT_TRUE(read->clock_external);
  EXPECT_FALSE(read->systemd_cgroup);
}

}  // namespace
}  // namespace bedplate::agent

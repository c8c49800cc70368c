#include "core/site.hpp"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"

namespace bedplate {
namespace {

using testing::HasSubstr;

std::string example() {
  return read_file(std::string(BEDPLATE_SOURCE_DIR) + "/examples/two-nodes.yaml").value();
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

std::string findings_of(const std::string& text) {
  const auto site = parse_site(text, "site.yaml");
  return site ? "valid" : site.error().what;
}

TEST(Site, ReadsTheExample) {
  const auto site = parse_site(example(), "two-nodes.yaml");
  ASSERT_TRUE(site) << site.error().render();
  EXPECT_EQ(site->nodes.size(), 2U);
  EXPECT_EQ(site->bootstrap_node().name, "node-1");
  EXPECT_EQ(site->nodes[1].role, Role::worker);
  EXPECT_EQ(site->nodes[1].match.mac, "52:54:00:be:d0:02");
  EXPECT_EQ(site->nodes[0].address.str(), "192.0.2.11/24");
  EXPECT_FALSE(site->nodes[0].gateway);
  EXPECT_EQ(site->plugin, NetworkPlugin::basic);
  EXPECT_EQ(site->api_name(), "api.two-nodes.example");
}

TEST(Site, ReportsEveryMistakeAtOnceWithItsPlace) {
  const auto text = R"(kind: Site
name: My_Site
domain: lab.example
kubernetes: {version: 1.36, podNetwork: 10.0.0.0/8, serviceNetwork: 10.96.0.0/12}
network: {plugin: basik}
bootstrap: node-9
nodes:
  - name: node-1
    roll: control-plane
    role: control-plan
    match: {mac: "52:54:00"}
    disk: {}
    address: 192.0.2.11
  - name: node-1
    role: worker
    match: {}
    disk: {serial: X, minSize: big}
    address: 10.1.2.3/24
    gateway: 10.9.9.9
)";
  EXPECT_EQ(findings_of(text), R"(site.yaml has 14 mistakes:
site.yaml:2:7: name: 'My_Site' must be lower-case letters, digits and hyphens, at most 63, with no hyphen at the ends
site.yaml:4:23: kubernetes.version: '1.36' must have the form v1.36.3
site.yaml:4:69: kubernetes.serviceNetwork: overlaps kubernetes.podNetwork 10.0.0.0/8
site.yaml:5:19: network.plugin: 'basik' is not allowed; did you mean 'basic'? (allowed: basic, cilium)
site.yaml:9:5: nodes[0].roll: is not a field here; did you mean 'role'? (allowed: name, role, match, disk, address, gateway, dns, ntp)
site.yaml:10:11: nodes[0].role: 'control-plan' is not allowed; did you mean 'control-plane'? (allowed: control-plane, worker)
site.yaml:11:18: nodes[0].match.mac: '52:54:00' is not the MAC address of a network card (such as 52:54:00:12:34:56)
site.yaml:12:11: nodes[0].disk: must name the disk by at least one of serial, model, wwn, path, minSize, maxSize
site.yaml:13:14: nodes[0].address: '192.0.2.11' is not an IPv4 address with a prefix length (such as 192.0.2.10/24)
site.yaml:14:11: nodes[1].name: the name 'node-1' is already that of node 'node-1'
site.yaml:16:12: nodes[1].match: must have at least one of mac, serial, uuid
site.yaml:17:32: nodes[1].disk.minSize: must be a size such as 16GiB or 500 MB
site.yaml:18:14: nodes[1].address: its network overlaps kubernetes.podNetwork 10.0.0.0/8
site.yaml:19:14: nodes[1].gateway: 10.9.9.9 is not in the node's network 10.1.2.0/24)");
}

TEST(Site, RefusesWhatIsNoSite) {
  EXPECT_THAT(findings_of(""), HasSubstr("empty"));
  EXPECT_THAT(findings_of("a: ["), HasSubstr("not YAML"));
  EXPECT_THAT(findings_of("[]"), HasSubstr("must be a map"));
  EXPECT_THAT(findings_of("kind: Bundle\n"), HasSubstr("'Bundle' is not allowed (allowed: Site)"));
  EXPECT_THAT(findings_of(example() + "---\nkind: Site\n"), HasSubstr("second document"));
  EXPECT_EQ(findings_of(replaced(example(), "nodes:", "nodes: none\nold:")),
            R"(site.yaml has 2 mistakes:
site.yaml:16:8: nodes: must be a list
site.yaml:17:1: old: is not a field here (allowed: kind, name, domain, kubernetes, network, bootstrap, nodes, trust))");
}

/// One change to the example and what is said about it.
struct Mistake {
  std::string_view name;
  std::string_view text;  ///< of the example, first occurrence
  std::string_view instead;
  std::string_view finding;
};
std::ostream& operator<<(std::ostream& out, const Mistake& mistake) {
  return out << mistake.name;
}

class SiteMistake : public testing::TestWithParam<Mistake> {};

TEST_P(SiteMistake, IsFoundAlone) {
  const auto& mistake = GetParam();
  const auto found = findings_of(replaced(example(), mistake.text, mistake.instead));
  EXPECT_THAT(found, HasSubstr("has 1 mistake:"));
  EXPECT_THAT(found, HasSubstr(mistake.finding));
}

INSTANTIATE_TEST_SUITE_P(
    Each, SiteMistake,
    testing::Values(
        Mistake{"Ipv6", "192.0.2.11/24", "2001:db8::1/64", "IPv6 is not supported yet"},
        Mistake{"SharedMac", "be:d0:02", "be:d0:01",
                "nodes[1].match.mac: the MAC address '52:54:00:be:d0:01' is already that of node "
                "'node-1'"},
        Mistake{"SharedName", "name: node-2", "name: node-1",
                "nodes[1].name: the name 'node-1' is already that of node 'node-1'"},
        Mistake{"SharedAddress", "192.0.2.12/24", "192.0.2.11/24",
                "nodes[1].address: the address '192.0.2.11' is already that of node 'node-1'"},
        Mistake{"GroupMac", "52:54:00:be:d0:01", "53:54:00:be:d0:01", "of a network card"},
        Mistake{"NoMatch", "match: {mac: \"52:54:00:be:d0:01\"}", "match: {}",
                "nodes[0].match: must have at least one of mac, serial, uuid"},
        Mistake{"EmptySerial", "serial: \"NODE1-ROOT\"", "serial: \"\", minSize: 1GiB",
                "nodes[0].disk.serial: must not be empty"},
        Mistake{"NotUuid", "match: {mac: \"52:54:00:be:d0:01\"}", "match: {uuid: abc}",
                "'abc' is not a UUID"},
        Mistake{"DiskPath", "serial: \"NODE1-ROOT\"", "path: sda", "must begin with /dev/"},
        Mistake{"DiskSizes", "serial: \"NODE1-ROOT\"", "minSize: 2GiB, maxSize: 1GiB",
                "nodes[0].disk.maxSize: must not be smaller than minSize"},
        Mistake{"WipeWord", "serial: \"NODE1-ROOT\"", "serial: X, wipe: yes",
                "nodes[0].disk.wipe: must be true or false"},
        Mistake{"NodeWithoutDisk", "disk: {serial: \"NODE1-ROOT\"}", "",
                "nodes[0].disk: is required"},
        Mistake{"NoControlPlane", "role: control-plane", "role: worker",
                "nodes: must have at least one node with the role control-plane"},
        Mistake{"WrongRole", "role: control-plane", "role: controlplane",
                "nodes[0].role: 'controlplane' is not allowed; did you mean 'control-plane'?"},
        Mistake{"BootstrapWorker", "bootstrap: node-1", "bootstrap: node-2",
                "bootstrap: node 'node-2' is a worker; must be a control-plane node (node-1)"},
        Mistake{"BootstrapUnknown", "bootstrap: node-1", "bootstrap: nod-1",
                "bootstrap: 'nod-1' is not allowed; did you mean 'node-1'?"},
        Mistake{"ReservedName", "name: node-2", "name: api", "the cluster's own API"},
        Mistake{"Domain", "domain: two-nodes.example", "domain: Two_Nodes.example",
                "domain: 'Two_Nodes.example' is not a DNS name in lower case"},
        Mistake{"Version", "v1.36.3", "1.36.3", "'1.36.3' must have the form v1.36.3"},
        Mistake{"Overlap", "10.96.0.0/12", "10.244.0.0/20",
                "kubernetes.serviceNetwork: overlaps kubernetes.podNetwork 10.244.0.0/16"},
        Mistake{"HostBits", "10.244.0.0/16", "10.244.1.0/16",
                "10.244.1.0/16 has host bits set; the network is 10.244.0.0/16"},
        Mistake{"PodNetworkTooSmall", "10.244.0.0/16", "10.244.0.0/25",
                "the prefix length /25 must be from /8 to /24"},
        Mistake{"PodNetworkForOneNode", "10.244.0.0/16", "10.244.0.0/24",
                "10.244.0.0/24 has room for 1 node, a /24 for each, and 2 are named"},
        Mistake{"NetworkAddress", "192.0.2.11/24", "192.0.2.0/24",
                "192.0.2.0 is the network or broadcast address of its own network"},
        Mistake{"PrefixLengthNought", "192.0.2.12/24", "192.0.2.12/0",
                "the prefix length /0 must be from /8 to /30"},
        Mistake{"OtherNetwork", "192.0.2.12/24", "198.51.100.12/24",
                "the plugin basic needs all nodes on one network"},
        Mistake{"OtherPrefix", "192.0.2.12/24", "192.0.2.12/25",
                "its network 192.0.2.0/25 overlaps but is not 192.0.2.0/24 of node 'node-1'"},
        Mistake{"GatewayElsewhere", "gateway: none", "gateway: 10.9.9.9",
                "10.9.9.9 is not in the node's network 192.0.2.0/24"},
        Mistake{"GatewayIsItself", "gateway: none", "gateway: 192.0.2.11",
                "nodes[0].gateway: is the node's own address"},
        Mistake{"GatewayWord", "gateway: none", "gateway: no", "must be an IPv4 address, or none"},
        Mistake{"Dns", "dns: []", "dns: [dns.example]", "must be the IPv4 address of a DNS server"},
        Mistake{"Ntp", "ntp: []", "ntp: [Time_1]", "must be a host name or an IPv4 address"},
        Mistake{"TrustKey",
                "nodes:", "trust: {bundleKeys: [\"ed25519:xx\"]}\nnodes:", "trust.bundleKeys[0]: "},
        Mistake{"TrustRoot",
                "nodes:", "trust: {siteRoots: [\"-----BEGIN CERTIFICATE-----\"]}\nnodes:",
                "trust.siteRoots[0]: must be one certificate in PEM, and nothing else"},
        Mistake{"Twice", "name: two-nodes", "name: two-nodes\nname: again",
                "name: is given twice"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Site, NodesOnOtherNetworksNeedGateways) {
  auto text = replaced(example(), "plugin: basic", "plugin: cilium");
  text = replaced(text, "192.0.2.12/24", "198.51.100.12/24");
  EXPECT_THAT(findings_of(text), HasSubstr("both nodes then need a gateway"));
  text = replaced(text, "gateway: none", "gateway: 192.0.2.1");
  text = replaced(text, "gateway: none", "gateway: 198.51.100.1");
  EXPECT_EQ(findings_of(text), "valid");
}

TEST(Site, OneSerialNeedsAnotherMark) {
  const auto with = [](std::string_view first, std::string_view second) {
    auto text = replaced(example(), "{mac: \"52:54:00:be:d0:01\"}", first);
    return findings_of(replaced(text, "{mac: \"52:54:00:be:d0:02\"}", second));
  };
  constexpr std::string_view both = "nothing else tells them apart";
  EXPECT_THAT(with("{serial: A}", "{serial: A}"), HasSubstr(both));
  EXPECT_THAT(with("{serial: A}", "{serial: A, mac: \"52:54:00:be:d0:02\"}"), HasSubstr(both));
  EXPECT_EQ(
      with("{serial: A, mac: \"52:54:00:be:d0:01\"}", "{serial: A, mac: \"52:54:00:be:d0:02\"}"),
      "valid");
}

TEST(Site, TheFirstControlPlaneIsTheBootstrapNode) {
  const auto site = parse_site(replaced(example(), "bootstrap: node-1", ""), "x");
  ASSERT_TRUE(site) << site.error().render();
  EXPECT_EQ(site->bootstrap, "node-1");
}

TEST(Site, MacsAndUuidsAreNormalised) {
  const auto site =
      parse_site(replaced(example(), "{mac: \"52:54:00:be:d0:01\"}",
                          "{mac: 52-54-00-BE-D0-01, uuid: 4C4C4544-0031-3010-8050-B4C04F333132}"),
                 "x");
  ASSERT_TRUE(site) << site.error().render();
  EXPECT_EQ(site->nodes[0].match.mac, "52:54:00:be:d0:01");
  EXPECT_EQ(site->nodes[0].match.uuid, "4c4c4544-0031-3010-8050-b4c04f333132");
}

TEST(Site, EveryFieldSurvivesYaml) {
  auto text = replaced(example(), "disk: {serial: \"NODE1-ROOT\"}",
                       "disk: {serial: \"007\", model: 'Q \"E\" # x', wwn: 0x5000, path: "
                       "/dev/disk/by-id/a, minSize: 16GiB, maxSize: 2 TB, wipe: true}");
  text = replaced(text, "gateway: none", "gateway: 192.0.2.1");
  text = replaced(text, "dns: []", "dns: [192.0.2.53]");
  text = replaced(text, "ntp: []", "ntp: [time.example, 192.0.2.1]");
  text = replaced(text, "plugin: basic", "plugin: cilium");
  const auto site = parse_site(text, "x");
  ASSERT_TRUE(site) << site.error().render();
  const auto yaml = site_to_yaml(*site);
  const auto again = parse_site(yaml, "again");
  ASSERT_TRUE(again) << again.error().render();
  EXPECT_EQ(site_to_yaml(*again), yaml);
  const auto& disk = again->nodes[0].disk;
  EXPECT_EQ(disk.serial, "007");
  EXPECT_EQ(disk.model, "Q \"E\" # x");
  EXPECT_EQ(disk.wwn, "0x5000");
  EXPECT_EQ(disk.path, "/dev/disk/by-id/a");
  EXPECT_EQ(disk.min_size, 16ULL << 30);
  EXPECT_EQ(disk.max_size, 2'000'000'000'000ULL);
  EXPECT_TRUE(disk.wipe);
  EXPECT_EQ(again->nodes[0].gateway->str(), "192.0.2.1");
  EXPECT_EQ(again->nodes[0].dns.at(0).str(), "192.0.2.53");
  EXPECT_EQ(again->nodes[0].ntp, (std::vector<std::string>{"time.example", "192.0.2.1"}));
  EXPECT_EQ(again->plugin, NetworkPlugin::cilium);
}

TEST(Site, WhatCannotBeInstalledYetIsSaidBeforeAMediumIsMade) {
  const auto site = parse_site(example(), "x");
  ASSERT_TRUE(site) << site.error().render();
  EXPECT_TRUE(check_installable(*site));
  auto text = replaced(example(), "plugin: basic", "plugin: cilium");
  text = replaced(text, "role: worker", "role: control-plane");
  const auto other = parse_site(text, "x");
  ASSERT_TRUE(other) << other.error().render();
  const auto refused = check_installable(*other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unsupported);
  EXPECT_NE(refused.error().what.find("network.plugin cilium"), std::string::npos);
  EXPECT_NE(refused.error().what.find("2 control-plane nodes"), std::string::npos);
}

TEST(Site, AMissingFileSaysHowToMakeOne) {
  const auto site = read_site("/nonexistent/site.yaml");
  ASSERT_FALSE(site);
  EXPECT_EQ(site.error().kind, ErrorKind::not_found);
  EXPECT_THAT(site.error().hint, HasSubstr("bedplate site init"));
}

TEST(Site, RandomBytesNeverCrashIt) {
  std::minstd_rand random(1);
  const auto good = example();
  for (int round = 0; round < 300; ++round) {
    auto text = good;
    for (int i = 0; i < 8; ++i) text[random() % text.size()] = static_cast<char>(random());
    (void)parse_site(text, "fuzz");
  }
}

}  // namespace
}  // namespace bedplate

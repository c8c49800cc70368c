#include "core/site.hpp"

#include <random>

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/digest.hpp"
#include "core/file.hpp"

namespace bedplate {
namespace {

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
  EXPECT_EQ(findings_of(text), R"(site.yaml has 15 mistakes:
site.yaml:2:7: name: 'My_Site' must be lower-case letters, digits and hyphens, at most 63
site.yaml:4:23: kubernetes.version: '1.36' must have the form v1.36.3
site.yaml:4:69: kubernetes.serviceNetwork: overlaps kubernetes.podNetwork 10.0.0.0/8
site.yaml:5:19: network.plugin: 'basik' is not allowed; did you mean 'basic'? (allowed: basic, cilium)
site.yaml:8:3: nodes: must have at least one node with the role control-plane
site.yaml:9:5: nodes[0].roll: is not a field here; did you mean 'role'? (allowed: name, role, match, disk, address, gateway, dns, ntp)
site.yaml:10:11: nodes[0].role: 'control-plan' is not allowed; did you mean 'control-plane'? (allowed: control-plane, worker)
site.yaml:11:18: nodes[0].match.mac: '52:54:00' is not a MAC address (such as 52:54:00:12:34:56)
site.yaml:12:11: nodes[0].disk: must name the disk by at least one of serial, model, wwn, path, minSize, maxSize
site.yaml:13:14: nodes[0].address: '192.0.2.11' is not an IPv4 address with a prefix length (such as 192.0.2.10/24)
site.yaml:14:11: nodes[1].name: name node-1 is already that of node 'node-1'
site.yaml:16:12: nodes[1].match: must have at least one of mac, serial, uuid
site.yaml:17:32: nodes[1].disk.minSize: must be a size such as 16GiB or 500 MB
site.yaml:18:14: nodes[1].address: its network overlaps kubernetes.podNetwork 10.0.0.0/8
site.yaml:19:14: nodes[1].gateway: 10.9.9.9 is not in the node's network 10.1.2.0/24)");
}

TEST(Site, RefusesWhatIsNoSite) {
  EXPECT_NE(findings_of("").find("empty"), std::string::npos);
  EXPECT_NE(findings_of("a: [").find("not YAML"), std::string::npos);
  EXPECT_NE(findings_of("[]").find("must be a map"), std::string::npos);
  EXPECT_NE(findings_of(example() + "---\nkind: Site\n").find("second document"),
            std::string::npos);
  EXPECT_NE(findings_of(replaced(example(), "192.0.2.11/24", "2001:db8::1/64")).find("IPv6"),
            std::string::npos);
}

TEST(Site, RefusesAliasBombs) {
  std::string text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c <= 'h'; ++c) {
    text += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 10; ++i) text += std::string(i == 0 ? "" : ",") + "*" + char(c - 1);
    text += "]\n";
  }
  EXPECT_NE(findings_of(text).find("more than 10000 values"), std::string::npos);
}

TEST(Site, SharedIdentitiesAreFound) {
  EXPECT_NE(findings_of(replaced(example(), "be:d0:02", "be:d0:01")).find("MAC"),
            std::string::npos);
  EXPECT_NE(findings_of(replaced(example(), "192.0.2.12/24", "192.0.2.11/24")).find("address"),
            std::string::npos);
  EXPECT_NE(findings_of(replaced(example(), "bootstrap: node-1", "bootstrap: node-2"))
                .find("must have the role control-plane"),
            std::string::npos);
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

class Secrets : public testing::Test {
 protected:
  TemporaryDirectory folder_ = *TemporaryDirectory::create("bedplate-site");
  std::filesystem::path path_ = folder_.path() / "site.secrets";
  Site site_ = parse_site(example(), "site.yaml").value();
};

TEST_F(Secrets, AreMadeOnceAndKept) {
  const auto first = ensure_secrets(path_, site_).value();
  const auto content = read_file(path_).value();
  const auto again = ensure_secrets(path_, site_).value();
  EXPECT_EQ(content, read_file(path_).value());
  EXPECT_EQ(first.enrolment, again.enrolment);
  EXPECT_EQ(first.enrolment.size(), 2U);
  EXPECT_EQ(std::filesystem::status(path_).permissions(), std::filesystem::perms(0600));
}

TEST_F(Secrets, ANewNodeOnlyAddsItsOwn) {
  const auto first = ensure_secrets(path_, site_).value();
  auto node = site_.nodes[1];
  node.name = "node-3";
  site_.nodes.push_back(node);
  const auto second = ensure_secrets(path_, site_).value();
  EXPECT_EQ(second.enrolment.size(), 3U);
  EXPECT_EQ(second.enrolment.at("node-1"), first.enrolment.at("node-1"));
  EXPECT_EQ(second.bundle_key, first.bundle_key);
}

TEST_F(Secrets, ReadableByOthersIsRefused) {
  ASSERT_TRUE(ensure_secrets(path_, site_));
  std::filesystem::permissions(path_, std::filesystem::perms(0644));
  EXPECT_EQ(read_secrets(path_).error().kind, ErrorKind::untrusted);
}

TEST_F(Secrets, SealFillsTrustAndRoundTrips) {
  const auto secrets = ensure_secrets(path_, site_).value();
  const auto sealed = seal_site(site_, secrets).value();
  ASSERT_EQ(sealed.trust.bundle_keys.size(), 1U);
  const auto yaml = site_to_yaml(sealed);
  const auto again = parse_site(yaml, "sealed");
  ASSERT_TRUE(again) << again.error().render();
  EXPECT_EQ(site_to_yaml(*again), yaml);
  EXPECT_EQ(again->id(), sealed.id());
  EXPECT_EQ(again->trust.site_roots, sealed.trust.site_roots);
  EXPECT_EQ(sealed.id().size(), 16U);
  EXPECT_EQ(yaml.find("PRIVATE"), std::string::npos);
}

TEST_F(Secrets, SealRefusesAnotherSitesKey) {
  const auto secrets = ensure_secrets(path_, site_).value();
  site_.trust.bundle_keys = {PrivateKey::generate().public_key()};
  EXPECT_EQ(seal_site(site_, secrets).error().kind, ErrorKind::untrusted);
}

TEST_F(Secrets, SiteRootIsConstrainedToTheSite) {
  const auto secrets = ensure_secrets(path_, site_).value();
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(secrets.site_root_cert.data(), -1), BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free);
  ASSERT_TRUE(certificate);
  EXPECT_NE(X509_get_extension_flags(certificate.get()) & EXFLAG_CA, 0U);
  EXPECT_EQ(X509_get_extended_key_usage(certificate.get()), unsigned{XKU_SSL_SERVER});
  EXPECT_GE(X509_get_ext_by_NID(certificate.get(), NID_name_constraints, -1), 0);
}

TEST_F(Secrets, EnrolmentSurvivesItsFile) {
  const auto secrets = ensure_secrets(path_, site_).value();
  const auto path = folder_.path() / "enrolment.json";
  ASSERT_TRUE(write_file_atomic(path, enrolment_to_json(secrets.enrolment), 0600));
  EXPECT_EQ(read_enrolment(path).value(), secrets.enrolment);
  ASSERT_TRUE(write_file_atomic(path, R"({"node-1":"c2hvcnQ="})", 0600));
  EXPECT_EQ(read_enrolment(path).error().kind, ErrorKind::invalid);
}

TEST(Yaml, NearestNamesOnlyTypos) {
  EXPECT_EQ(nearest("wroker", {"control-plane", "worker"}).value(), "worker");
  EXPECT_FALSE(nearest("zebra", {"control-plane", "worker"}));
}

TEST(Yaml, PassesPatchesThroughAsJson) {
  const auto root = YamlNode::parse("a: {b: [1, \"2\", true, x]}", "x").value();
  EXPECT_EQ(root["a"].to_json_text(), R"({"b":[1,"2",true,"x"]})");
  EXPECT_EQ(root["missing"].to_json_text(), "null");
}

}  // namespace
}  // namespace bedplate

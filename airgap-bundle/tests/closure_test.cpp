// The closure proof with the real helm: an image planted anywhere in a chart must be in the bundle.

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "airgap-bundle/closure/bundle_proof.hpp"
#include "airgap-bundle/registry/server.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/programs.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;

struct Plant {
  std::string place;  ///< for people
  std::string image;
};

const std::vector<Plant>& plants() {
  static const std::vector<Plant> list{
      {"container", "registry.example/plant/main:v1"},
      {"init container", "registry.example/plant/init:v1"},
      {"template in a custom resource", "registry.example/plant/custom:v1"},
      {"operator flag", "registry.example/plant/flag:v1"},
      {"ConfigMap", "registry.example/plant/config:v1"},
      {"hook", "registry.example/plant/hook:v1"},
      {"test", "registry.example/plant/test:v1"},
      {"value from a values file", "registry.example/plant/value:v1"},
  };
  return list;
}

constexpr auto templates = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator}
spec:
  template:
    spec:
      initContainers: [{name: i, image: "registry.example/plant/init:v1"}]
      containers:
      - name: c
        image: registry.example/plant/main:v1
        args: ["--sidecar-image=registry.example/plant/flag:v1", "--kube={{ .Capabilities.KubeVersion }}"]
      - name: v
        image: {{ .Values.image }}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {template: {spec: {containers: [{name: c, image: "registry.example/plant/custom:v1"}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {runner.ini: "image = registry.example/plant/config:v1"}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade}}
spec: {template: {spec: {containers: [{name: h, image: "registry.example/plant/hook:v1"}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: try, annotations: {helm.sh/hook: test}}
spec: {containers: [{name: t, image: "registry.example/plant/test:v1"}]}
)";

class ClosureTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    const auto helm = payload_program("helm");
    if (!helm) GTEST_SKIP() << "no helm: qemu-tests/payload/build makes it";
    helm_ = *helm;
    runner_ = &system_;
    const auto chart = folder() / "operator";
    write(chart / "Chart.yaml", "apiVersion: v2\nname: operator\nversion: 1.2.3+build.4\n");
    write(chart / "values.yaml", "image: registry.example/not/used:v1\n");
    write(chart / "templates/all.yaml", templates);
    write(folder() / "ours.yaml", "image: registry.example/plant/value:v1\n");
    run({helm_.string(), "package", chart.string(), "--destination", folder().string()});
  }

  /// A bundle with the chart and every planted image but one.
  void leave_out(const std::string& image, const std::string& more = "") {
    spec_ = R"(
kind: Bundle
name: closed
version: "1"
charts:
  - {name: operator, version: 1.2.3+build.4, source: "file:operator-1.2.3+build.4.tgz", values: [ours.yaml]}
)" + more + "images:\n";
    for (const auto& plant : plants()) {
      if (plant.image != image) {
        spec_ += fmt::format("  - {{name: '{}', source: 'rootfs:app'}}\n", plant.image);
      }
    }
  }

  /// Takes an image out of a finished bundle's header, as its signer might.
  void forget(const fs::path& path, const std::string& image) {
    const auto reader = open(path);
    ASSERT_OK(reader);
    auto header = reader->header();
    std::erase_if(header.images, [&](const auto& entry) { return entry.name == image; });
    auto json = bundle::to_json_text(header);
    const auto fd = open_file(path, O_RDWR);
    ASSERT_OK(fd);
    std::string preamble(bundle::preamble_size, '\0');
    ASSERT_EQ(::pread(fd->get(), preamble.data(), preamble.size(), bundle::tar_block),
              static_cast<ssize_t>(preamble.size()));
    json.resize(bundle::parse_preamble(preamble)->json_length, ' ');
    ASSERT_OK(
        write_all_at(fd->get(), as_byte_span(bundle::sign_header(json, key_)), bundle::tar_block));
  }

  Result<closure::Proof> prove() {
    BP_TRY(const auto reader, open(file()));
    return closure::prove_bundle(reader, helm_, system_);
  }

  SystemProcessRunner system_;
};

TEST_F(ClosureTest, ABundleWithEverythingIsClosed) {
  leave_out("");
  const auto header = try_create(file());
  ASSERT_OK(header);
  const auto proof = prove();
  ASSERT_OK(proof);
  EXPECT_TRUE(proof->closed());
  EXPECT_EQ(proof->present.size(), plants().size());
}

TEST_F(ClosureTest, WhateverIsLeftOutIsNamedBeforeAnythingIsMade) {
  for (const auto& plant : plants()) {
    leave_out(plant.image);
    const auto header = try_create(file());
    ASSERT_FALSE(header) << plant.place;
    EXPECT_EQ(header.error().kind, ErrorKind::not_found);
    EXPECT_THAT(header.error().what, HasSubstr("1 images are asked for"));
    EXPECT_THAT(header.error().what, HasSubstr(plant.image)) << plant.place;
    EXPECT_THAT(header.error().what, HasSubstr("in operator/templates/all.yaml: "));
    EXPECT_FALSE(fs::exists(file()));
  }
}

TEST_F(ClosureTest, TheProofOnAFinishedBundleNamesWhatIsMissing) {
  leave_out("");
  ASSERT_OK(try_create(file()));
  for (const auto& plant : plants()) {
    fs::copy_file(file(), folder() / "open.bundle", fs::copy_options::overwrite_existing);
    forget(folder() / "open.bundle", plant.image);
    const auto reader = open(folder() / "open.bundle");
    ASSERT_OK(reader);
    const auto proof = closure::prove_bundle(*reader, helm_, system_);
    ASSERT_OK(proof);
    ASSERT_EQ(proof->missing.size(), 1U) << plant.place;
    EXPECT_EQ(proof->missing[0].image.str(), plant.image);
    EXPECT_THAT(closure::missing_text(*proof), HasSubstr("in operator/templates/all.yaml: "));
  }
}

TEST_F(ClosureTest, AReasonMakesAnAbsenceAllowed) {
  leave_out("registry.example/plant/test:v1",
            "allowMissing: [{image: 'registry.example/plant/test:v1', reason: tests are not run}, "
            "{image: 'registry.example/plant/other:v1', reason: a mistake}]\n");
  ASSERT_OK(try_create(file()));
  const auto proof = prove();
  ASSERT_OK(proof);
  EXPECT_TRUE(proof->closed());
  ASSERT_EQ(proof->allowed.size(), 1U);
  EXPECT_EQ(proof->allowed[0].reason, "tests are not run");
  EXPECT_EQ(proof->unused, std::vector<std::string>{"registry.example/plant/other:v1"});
}

TEST_F(ClosureTest, AChartThatDoesNotRenderIsRefusedInHelmsWords) {
  leave_out("");
  write(folder() / "ours.yaml", "image: [\n");
  const auto header = try_create(file());
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().kind, ErrorKind::invalid);
  EXPECT_THAT(header.error().what, HasSubstr("chart operator does not render"));
}

TEST_F(ClosureTest, HelmPullsTheChartFromTheServedBundle) {
  leave_out("");
  ASSERT_OK(try_create(file()));
  const auto reader = open(file());
  ASSERT_OK(reader);
  const auto registry = registry::BundleRegistry::create(*reader);
  ASSERT_OK(registry);
  const auto server = HttpServer::start(
      *Ipv4::parse("127.0.0.1"), 0, [&](const auto& request) { return registry->handle(request); });
  ASSERT_OK(server);
  const auto pulled = folder() / "pulled";
  fs::create_directories(pulled);
  run({helm_.string(), "pull", fmt::format("oci://127.0.0.1:{}/charts/operator", (*server)->port()),
       "--version", "1.2.3+build.4", "--plain-http", "--destination", pulled.string()});
  EXPECT_EQ(digest_file(pulled / "operator-1.2.3+build.4.tgz").value(),
            digest_file(folder() / "operator-1.2.3+build.4.tgz").value());
}

TEST_F(ClosureTest, KubeadmsImagesMustBeThere) {
  const auto kubeadm = payload_program("kubeadm");
  ASSERT_TRUE(kubeadm);
  const auto found = closure::kubeadm_images(
      *kubeadm, "v1.36.3", {"registry.k8s.io/etcd:3.6.99-0", "example.com/coredns:v1"}, system_);
  ASSERT_OK(found);
  std::vector<std::string> names;
  for (const auto& item : *found) {
    names.push_back(item.image.repository);
    if (item.image.repository == "etcd") {
      EXPECT_EQ(item.image.tag, "3.6.99-0") << "the one that the bundle has";
    }
  }
  EXPECT_THAT(
      names, ::testing::IsSupersetOf({"kube-apiserver", "kube-controller-manager", "kube-scheduler",
                                      "kube-proxy", "coredns/coredns", "pause", "etcd"}));
  spec_ += fmt::format(
      "  - {{name: node-payload, version: v1.36.3, files: [{{path: '{}', to: bin/kubeadm}}]}}\n",
      fs::relative(*kubeadm, folder()).string());
  const auto header = try_create(file());
  ASSERT_FALSE(header);
  EXPECT_THAT(header.error().what, HasSubstr("registry.k8s.io/pause:"));
  EXPECT_THAT(header.error().what, HasSubstr("containerd's sandbox image"));
}

}  // namespace
}  // namespace bedplate::bundle_test

#include "airgap-bundle/closure/references.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bedplate::closure {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::vector<std::string> images_of(std::string_view manifests) {
  auto found = find_images(manifests, "test");
  EXPECT_TRUE(found) << found.error().render();
  std::vector<std::string> out;
  if (!found) return out;
  for (const auto& item : *found) out.push_back(item.image.str());
  return out;
}

TEST(Normalize, WritesOutWhatShortNamesMean) {
  const auto text = [](std::string_view name) { return normalize(name).value().str(); };
  EXPECT_EQ(text("busybox"), "docker.io/library/busybox:latest");
  EXPECT_EQ(text("goharbor/nginx-photon:v2.14.0"), "docker.io/goharbor/nginx-photon:v2.14.0");
  EXPECT_EQ(text("index.docker.io/library/redis:8"), "docker.io/library/redis:8");
  EXPECT_EQ(text("docker.io/busybox:1.37"), "docker.io/library/busybox:1.37");
  EXPECT_EQ(text("localhost:5000/a/b"), "localhost:5000/a/b:latest");
  const std::string digest = "@sha256:" + std::string(64, 'a');
  EXPECT_EQ(text("quay.io/a/b:v1" + digest), "quay.io/a/b:v1" + digest);
  EXPECT_EQ(text("quay.io/a/b" + digest), "quay.io/a/b" + digest);
  EXPECT_FALSE(normalize("UPPER/case:1"));
  EXPECT_FALSE(normalize("{{ .Values.image }}"));
}

TEST(FindImages, InEveryKindOfContainer) {
  EXPECT_THAT(images_of(R"(
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          initContainers: [{name: a, image: "busybox:1.36"}]
          containers: [{name: b, image: quay.io/x/main:v1}]
          ephemeralContainers: [{name: c, image: quay.io/x/debug:v1}]
          volumes: [{name: d, image: {reference: "quay.io/x/models:v2", pullPolicy: Always}}]
)"),
              UnorderedElementsAre("docker.io/library/busybox:1.36", "quay.io/x/main:v1",
                                   "quay.io/x/debug:v1", "quay.io/x/models:v2"));
}

TEST(FindImages, SaysWhere) {
  const auto found = find_images(R"(---
# Source: harbor/templates/core/core-dpl.yaml
kind: Deployment
metadata: {name: core}
spec: {template: {spec: {containers: [{image: "goharbor/harbor-core:v2.14.0"}]}}}
)",
                                 "harbor")
                         .value();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].where,
            "harbor/templates/core/core-dpl.yaml: Deployment core: "
            "spec.template.spec.containers[0].image");
  EXPECT_EQ(found[0].written, "goharbor/harbor-core:v2.14.0");
  EXPECT_EQ(found[0].certainty, Certainty::field);
}

TEST(FindImages, InFlagsVariablesAndConfigurations) {
  EXPECT_THAT(
      images_of(R"(
kind: Deployment
metadata: {name: operator}
spec:
  template:
    spec:
      containers:
      - image: quay.io/op/operator:v1
        args: ["--reloader=quay.io/op/reloader:v1", --helper-image=busybox:1.36, "--retries=3"]
        env:
        - {name: RELATED_IMAGE_PROXY, value: "envoyproxy/envoy:v1"}
        - {name: LOG_LEVEL, value: info}
---
kind: ConfigMap
metadata: {name: settings}
data:
  executor.yaml: |
    image: quay.io/argo/executor:v3
    template:
      - image: "alpine:3.22"
  plain.ini: "runner = quay.io/op/runner:v2, docs at https://quay.io/op/docs:v1"
  page.json: '{"image": "quay.io/op/json:v1", "other": "x"}'
)"),
      UnorderedElementsAre("quay.io/op/operator:v1", "quay.io/op/reloader:v1",
                           "docker.io/library/busybox:1.36", "docker.io/envoyproxy/envoy:v1",
                           "quay.io/argo/executor:v3", "docker.io/library/alpine:3.22",
                           "quay.io/op/runner:v2", "quay.io/op/json:v1"));
}

TEST(FindImages, OfAFlagWhoseValueIsTheNextItem) {
  EXPECT_THAT(
      images_of(R"(
kind: Deployment
metadata: {name: workflow-controller}
spec:
  template:
    spec:
      containers:
      - image: quay.io/argoproj/controller:v4
        args: [--executor-image, "argoproj/argoexec:v4.0.6", --image-pull-policy, "a:b", --image, --x:y]
---
kind: ConfigMap
metadata: {name: script}
data:
  run.sh: |
    kubectl run x --image curlimages/curl:8 --restart=Never
    echo --image is the flag: use it
)"),
      UnorderedElementsAre("quay.io/argoproj/controller:v4", "docker.io/argoproj/argoexec:v4.0.6",
                           "docker.io/curlimages/curl:8"));
}

TEST(FindImages, InConfigurationThatAControllerReads) {
  EXPECT_THAT(
      images_of(R"(
kind: ConfigMap
metadata: {name: workflow-controller-configmap}
data:
  config: |
    workflowDefaults:
      spec:
        templates:
        - {name: a, container: {image: busybox, command: [sh]}}
        - container:
            image: alpine/git
  versions.yaml: |
    metricsExporterImage: natsio/prometheus-nats-exporter
  page.json: '{"a": [{"image": "redis"}, {"logoImage": "logo/main.png"}]}'
---
kind: Secret
metadata: {name: hub}
stringData:
  values.yaml: |
    singleuser:
      image:
        name: docker.io/bitnami/jupyter-base-notebook
        tag: 5.3.0
    other: {name: a/b, tag: c}
---
kind: Application
metadata: {name: app}
spec:
  source:
    helm:
      values: |
        image: {registry: quay.io, repository: x/y, tag: v7}
        deeper: |
          image: {repository: quay.io/x/z, tag: v8}
)"),
      UnorderedElementsAre(
          "docker.io/library/busybox:latest", "docker.io/alpine/git:latest",
          "docker.io/natsio/prometheus-nats-exporter:latest", "docker.io/library/redis:latest",
          "docker.io/bitnami/jupyter-base-notebook:5.3.0", "quay.io/x/y:v7", "quay.io/x/z:v8"));
}

TEST(FindImages, InNamedParts) {
  EXPECT_THAT(
      images_of(R"(
kind: Application
metadata: {name: app}
spec:
  source:
    helm:
      parameters:
      - {name: controller.repository, value: quay.io/x/controller}
      - {name: controller.tag, value: v7}
      - {name: image.registry, value: quay.io}
      - {name: image.repository, value: x/y}
      - {name: image.tag, value: v8}
      - {name: chart.repository, value: https://charts.example/x}
      - {name: chart.tag, value: v9}
---
kind: Pod
metadata: {name: p}
spec:
  containers:
  - image: quay.io/x/p:v1
    env:
    - {name: PROXY_IMAGE_REPOSITORY, value: envoyproxy/envoy}
    - {name: PROXY_IMAGE_TAG, value: v2}
    - {name: ALONE_IMAGE_REPOSITORY, value: envoyproxy/alone}
    - {name: GIT_REPOSITORY, value: a/b}
    - {name: GIT_TAG, value: v3}
)"),
      UnorderedElementsAre("quay.io/x/controller:v7", "quay.io/x/y:v8", "quay.io/x/p:v1",
                           "docker.io/envoyproxy/envoy:v2", "docker.io/envoyproxy/alone:latest"));
}

TEST(FindImages, WhereverOnALineTheyStand) {
  EXPECT_THAT(images_of(R"(
kind: Pod
metadata: {name: p}
spec:
  containers:
  - image: quay.io/x/p:v1
    command: [sh, -c]
    args:
    - |
      kubectl run t --restart=Never --image=busybox:1.36 -- true
      NS=x IMAGE=alpine/git:2 ./job
      kubectl run u --overrides='{"spec":{"containers":[{"name":"u","image":"curlimages/curl:8"}]}}'
      skopeo inspect docker://quay.io/x/tool-image:v3@sha256:0000000000000000000000000000000000000000000000000000000000000000
      echo tool-image:v1@sha256:0000000000000000000000000000000000000000000000000000000000000000
---
kind: ImageListPullJob
metadata: {name: warm}
spec: {images: ["nginx:1.27", "quay.io/x/warm:v4", "*", a/b, background.png], allowedImages: "docker.io/*"}
)"),
              UnorderedElementsAre("quay.io/x/p:v1", "docker.io/library/busybox:1.36",
                                   "docker.io/alpine/git:2", "docker.io/curlimages/curl:8",
                                   "quay.io/x/tool-image:v3@sha256:" + std::string(64, '0'),
                                   "docker.io/library/nginx:1.27", "quay.io/x/warm:v4"));
}

TEST(FindImages, InSecretsWhoseBase64HasLineEnds) {
  // image: {repository: quay.io/x/hidden, tag: v1}
  EXPECT_THAT(images_of(R"(
kind: Secret
metadata: {name: s}
data:
  block: |
    aW1hZ2U6IHtyZXBvc2l0b3J5OiBxdWF5
    LmlvL3gvaGlkZGVuLCB0YWc6IHYxfQ==
  folded: "aW1hZ2U6IHtyZXBvc2l0b3J5OiBxdWF5\nLmlvL3gvaGlkZGVuLCB0YWc6IHYxfQ==\n"
)"),
              UnorderedElementsAre("quay.io/x/hidden:v1", "quay.io/x/hidden:v1"));
}

TEST(FindImages, ThatNoNodeCouldStartAreAnError) {
  for (const auto* image : {"'@'", "':v1'", "quay.io/UPPER/case:v1", "'a b'", "'<no value>'",
                            "'quay.io/a/b@sha256:12'"}) {
    for (const auto* kind : {"Pod", "Deployment"}) {
      const auto* const pod = "spec: {initContainers: [{image: ";
      const std::string text = std::string("kind: ") + kind + "\nmetadata: {name: x}\n" +
                               (std::string_view(kind) == "Pod"
                                    ? pod + std::string(image) + "}]}"
                                    : "spec: {template: {" + (pod + std::string(image)) + "}]}}}");
      const auto found = find_images(text, "chart");
      ASSERT_FALSE(found) << text;
      EXPECT_EQ(found.error().kind, ErrorKind::invalid);
      EXPECT_THAT(found.error().what, HasSubstr("initContainers[0].image: '")) << text;
      EXPECT_THAT(found.error().what, HasSubstr("is not the name of an image"));
    }
  }
  // What a custom resource means by it is not known, and an empty one may be filled in.
  EXPECT_TRUE(find_images("kind: Ansible\nspec: {containers: [{image: 'a b'}]}\n", "chart"));
  EXPECT_TRUE(find_images("kind: Pod\nspec: {containers: [{image: ''}]}\n", "chart"));
}

TEST(FindImages, AreNotCutWhereATemplateGoesOn) {
  EXPECT_THAT(images_of(R"(
kind: ConfigMap
metadata: {name: c}
data:
  a: "image: registry.k8s.io/kubectl:v{{ .Major }}"
  b: "IMAGE=quay.io/a/b:$VERSION and quay.io/whole/one:v1"
)"),
              UnorderedElementsAre("quay.io/whole/one:v1"));
}

TEST(FindImages, InInstancesOfCustomResources) {
  EXPECT_THAT(images_of(R"(
kind: Prometheus
metadata: {name: k8s}
spec: {image: quay.io/prometheus/prometheus:v3.5.0}
---
kind: Alertmanager
metadata: {name: main}
spec: {image: quay.io/prometheus/alertmanager, version: v0.28.1}
---
kind: Cluster
metadata: {name: db}
spec:
  imageName: ignored-without-slash
  proxy: {image: {registry: ghcr.io, repository: db/proxy, tag: "2"}}
  podTemplate: {spec: {containers: [{name: x, image: ghcr.io/db/x:1}]}}
)"),
              UnorderedElementsAre("quay.io/prometheus/prometheus:v3.5.0",
                                   "quay.io/prometheus/alertmanager:v0.28.1", "ghcr.io/db/proxy:2",
                                   "ghcr.io/db/x:1"));
}

TEST(FindImages, InSecretsAndLists) {
  // "image: quay.io/in/secret:v1\n"
  EXPECT_THAT(images_of(R"(
kind: List
items:
- kind: Secret
  metadata: {name: s}
  data: {config.yaml: aW1hZ2U6IHF1YXkuaW8vaW4vc2VjcmV0OnYxCg==}
- kind: Pod
  metadata: {name: p}
  spec: {containers: [{image: "quay.io/in/list:v1"}]}
)"),
              UnorderedElementsAre("quay.io/in/secret:v1", "quay.io/in/list:v1"));
}

TEST(FindImages, LeavesDefinitionsAlone) {
  EXPECT_THAT(images_of(R"(
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec: {description: "such as quay.io/example/thing:v1"}
)"),
              IsEmpty());
}

TEST(FindImages, TakesWhatOnlyLooksLikeOneForNone) {
  EXPECT_THAT(images_of(R"(
kind: ConfigMap
metadata:
  name: c
  labels: {app.kubernetes.io/version: v1.2.3, helm.sh/chart: harbor-1.18.0}
data:
  a: "http://harbor.example.com/path:80 and tcp://redis:6379/2"
  b: "harbor-core:80/api and 10.244.0.0/16 and v1.2/thing and a.b/c"
  c: "see docs.example.com/page for more. 2026-01-02T10:00:00/x:y"
  backgroundImage: sunset.png
  showImage: "true"
)"),
              IsEmpty());
}

TEST(FindImages, NamesWhatIsNoYaml) {
  const auto found = find_images("# Source: a/b.yaml\nkind: [", "chart");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::invalid);
  EXPECT_THAT(found.error().what, HasSubstr("a/b.yaml is no YAML"));
}

TEST(ReferencesInText, NeedARegistryAndATagOrDigest) {
  std::vector<std::string> out;
  for (const auto& image : references_in_text(
           "a quay.io/x/y:v1. (docker://ghcr.io/z:1), quay.io/x/y b/c:1 registry:5000/q:2")) {
    out.push_back(image.str());
  }
  EXPECT_THAT(out, ElementsAre("quay.io/x/y:v1", "ghcr.io/z:1", "registry:5000/q:2"));
}

TEST(FindImages, AliasesOfAliasesCostNoMoreThanTheirSize) {
  std::string text = "kind: Pod\na0: &a0 [quay.io/a/b:1]\n";
  for (int i = 1; i < 40; ++i) {
    text += fmt::format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
  }
  const auto bomb = find_images(text, "chart");
  ASSERT_FALSE(bomb);
  EXPECT_EQ(bomb.error().kind, ErrorKind::invalid);
  EXPECT_FALSE(find_images("kind: Pod\na: &a\n  b: *a\n", "chart")) << "it contains itself";
  EXPECT_FALSE(find_images("kind: Pod\na: " + std::string(100'000, '['), "chart"));
  // Inside a text it is not read as configuration; what it says in plain words counts.
  std::string kept = "kind: ConfigMap\ndata:\n  a: |\n    image: short\n";
  for (int i = 1; i < 40; ++i) {
    kept += fmt::format("    a{0}: &a{0} [*a{1}, *a{1}, *a{1}, 'quay.io/a/b:1']\n", i, i - 1);
  }
  EXPECT_THAT(images_of(kept), UnorderedElementsAre("quay.io/a/b:1"));
}

}  // namespace
}  // namespace bedplate::closure

#include "qemu-tests/lab/cluster.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json.hpp"

namespace bedplate::lab {
namespace {

constexpr const char* kNodes = R"({"items": [{
  "metadata": {"name": "node-1"},
  "status": {
    "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
    "addresses": [{"type": "InternalIP", "address": "192.0.2.11"}],
    "nodeInfo": {"bootID": "b1", "kubeletVersion": "v1.36.3", "containerRuntimeVersion": "containerd://2.2.1"},
    "images": [{"names": ["docker.io/library/x@sha256:aa", "docker.io/library/x:1"]},
               {"names": ["registry.k8s.io/pause@sha256:bb"]}]}},
  {"metadata": {"name": "node-2"}, "status": {}}]})";

TEST(Cluster, NodesAreReadFromKubectl) {
  const auto nodes = parse_nodes(kNodes);
  ASSERT_TRUE(nodes);
  ASSERT_EQ(nodes->size(), 2U);
  EXPECT_TRUE((*nodes)[0].ready);
  EXPECT_EQ((*nodes)[0].boot_id, "b1");
  EXPECT_EQ((*nodes)[0].address, "192.0.2.11");
  EXPECT_FALSE((*nodes)[1].ready);
  EXPECT_THAT(foreign_images(*nodes, {"sha256:aa"}),
              testing::ElementsAre("node-1: registry.k8s.io/pause@sha256:bb"));
  EXPECT_FALSE(parse_nodes("{}"));
  EXPECT_FALSE(parse_nodes("no json"));
}

TEST(Cluster, PodsAreReadFromKubectl) {
  const auto pods = parse_pods(R"({"items": [{"metadata": {"namespace": "n", "name": "p"},
    "spec": {"nodeName": "node-1"}, "status": {"phase": "Running",
    "containerStatuses": [{"ready": true, "restartCount": 2}, {"ready": false}]}}]})");
  ASSERT_TRUE(pods);
  const auto& pod = pods->front();
  EXPECT_EQ(pod.containers, 2);
  EXPECT_EQ(pod.ready, 1);
  EXPECT_EQ(pod.restarts, 2);
}

TEST(Cluster, AJobsFailedPodIsWellOnceAnotherHasSucceeded) {
  const auto pods = parse_pods(R"({"items": [
    {"metadata": {"namespace": "n", "name": "a-1", "ownerReferences": [{"kind": "Job", "name": "a"}]},
     "status": {"phase": "Failed"}},
    {"metadata": {"namespace": "n", "name": "a-2", "ownerReferences": [{"kind": "Job", "name": "a"}]},
     "status": {"phase": "Succeeded"}},
    {"metadata": {"namespace": "n", "name": "b-1", "ownerReferences": [{"kind": "Job", "name": "b"}]},
     "status": {"phase": "Failed"}},
    {"metadata": {"namespace": "other", "name": "a-1", "ownerReferences": [{"kind": "Job", "name": "a"}]},
     "status": {"phase": "Failed"}},
    {"metadata": {"namespace": "n", "name": "c", "ownerReferences": [{"kind": "ReplicaSet", "name": "a"}]},
     "status": {"phase": "Failed"}},
    {"metadata": {"namespace": "n", "name": "d"}, "status": {"phase": "Pending"}},
    {"metadata": {"namespace": "n", "name": "e"},
     "status": {"phase": "Running", "containerStatuses": [{"ready": false}]}}]})");
  ASSERT_TRUE(pods);
  std::vector<bool> well;
  for (const auto& pod : *pods) well.push_back(is_well(pod, *pods));
  EXPECT_THAT(well, testing::ElementsAre(true, true, false, false, false, false, false));
}

TEST(Cluster, ManifestsPlaceServerAndClientOnTheirNodes) {
  const auto server = parse_json(server_manifest("busybox:1", "node-2", "hello"), "server");
  ASSERT_TRUE(server);
  const auto& deployment = (*server)["items"][1];
  EXPECT_EQ(deployment["spec"]["template"]["spec"]["nodeSelector"]["kubernetes.io/hostname"],
            "node-2");
  const auto client = parse_json(client_manifest("busybox:1", "node-1", "client-1"), "client");
  ASSERT_TRUE(client);
  EXPECT_EQ((*client)["metadata"]["namespace"], "rehearsal");
  EXPECT_EQ((*client)["spec"]["template"]["spec"]["containers"][0]["image"], "busybox:1");
}

}  // namespace
}  // namespace bedplate::lab

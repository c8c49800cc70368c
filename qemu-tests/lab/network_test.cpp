#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"
#include "qemu-tests/lab/network_plan.hpp"
#include "qemu-tests/lab/state.hpp"

namespace bedplate::lab {
namespace {

Site two_nodes() {
  Site site;
  site.pod_network = *Ipv4Prefix::parse("10.244.0.0/16");
  site.service_network = *Ipv4Prefix::parse("10.96.0.0/12");
  for (const char* address : {"192.0.2.2/24", "192.0.2.12/24"}) {
    SiteNode node;
    node.name = "node-" + std::to_string(site.nodes.size() + 1);
    node.address = *Ipv4Prefix::parse(address);
    site.nodes.push_back(node);
  }
  site.nodes[0].match.mac = "52:54:00:be:d0:01";
  site.nodes[1].match.serial = "CHASSIS-2";
  site.nodes[1].gateway = *Ipv4::parse("192.0.2.3");
  return site;
}

TEST(NetworkPlan, TheWorkstationTakesAnAddressThatNobodyHas) {
  const auto plan = plan_network(two_nodes(), "/run/lab", "/lab", false);
  EXPECT_EQ(plan.workstation_address.str(), "192.0.2.4/24");
  EXPECT_EQ(plan.members.addresses.size(), 3U);
  EXPECT_EQ(plan.members.macs.size(), 3U);
  EXPECT_EQ(plan.ports[1].socket, "/run/lab/2.sock");
  EXPECT_FALSE(plan.members.addresses.contains(*Ipv4::parse("192.0.2.3")));  // the gateway is none
}

TEST(NetworkPlan, AStationComesFromTheSiteFileOrFromThePlaceInIt) {
  EXPECT_EQ(to_string(station_of(two_nodes(), 0)), "52:54:00:be:d0:01");
  EXPECT_EQ(to_string(station_of(two_nodes(), 1)), "52:54:00:bd:00:02");
}

TEST(NetworkPlan, IsReadBackAsItWas) {
  const auto plan = plan_network(two_nodes(), "/run/lab", "/lab", true);
  const auto text = network_plan_to_json(plan);
  const auto back = network_plan_from_json(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(network_plan_to_json(*back), text);
  EXPECT_EQ(back->members.macs, plan.members.macs);
  EXPECT_EQ(back->capture, plan.capture);
  EXPECT_FALSE(network_plan_from_json("{}"));
  EXPECT_FALSE(network_plan_from_json(R"({"members": 1})"));
}

TEST(State, SurvivesAndForgetsWhatIsTorn) {
  const auto folder = TemporaryDirectory::create("state").value();
  const auto file = folder.path() / "state.json";
  EXPECT_TRUE(read_state(file).installed.empty());
  ASSERT_TRUE(write_state(file, {{"node-1"}, "sha256:aa"}));
  EXPECT_TRUE(read_state(file).installed.contains("node-1"));
  EXPECT_EQ(read_state(file).decoy_digest, "sha256:aa");
  ASSERT_TRUE(write_file_atomic(file, R"({"installed": ["no)"));
  EXPECT_TRUE(read_state(file).installed.empty());
}

TEST(State, AKeptLabIsKnownByItsProcessesAndTheirStart) {
  const auto folder = TemporaryDirectory::create("kept").value();
  const auto file = folder.path() / "running.json";
  EXPECT_FALSE(read_kept(file));
  auto sleeper = Child::start({{"sleep", "60"}, folder.path() / "log", 0, false});
  ASSERT_TRUE(sleeper);
  KeptLab kept{sleeper->id(), {}, "/tmp/x", folder.path()};
  ASSERT_TRUE(write_kept(file, kept));
  const auto back = read_kept(file);
  ASSERT_TRUE(back);
  EXPECT_TRUE(any_alive(*back));
  auto another = back->network;
  ++another.start_time;  // the number was given to someone else since
  EXPECT_FALSE(another.alive());
  another.kill_group();
  EXPECT_TRUE(sleeper->running());
  sleeper->kill();
  EXPECT_FALSE(any_alive(*back));
}

}  // namespace
}  // namespace bedplate::lab

// Steps of host, runtime and network against scripted programs: what they do, and what they leave.

#include <algorithm>

#include <gtest/gtest.h>

#include "core/file.hpp"
#include "core/process_fake.hpp"
#include "node-agent/context.hpp"
#include "node-agent/host/render.hpp"
#include "node-agent/host/saved_time.hpp"
#include "node-agent/kubernetes/render.hpp"

namespace bedplate::agent {
namespace {

constexpr std::string_view kubectl = "/opt/bedplate/current/bin/kubectl --kubeconfig ";

class Steps : public testing::Test {
 protected:
  void SetUp() override {
    context.root = folder.path();
    context.runner = &runner;
    context.clock = &clock;
    context.site = read_site(std::string(BEDPLATE_SOURCE_DIR) + "/examples/two-nodes.yaml").value();
    context.self = *context.site.find("node-2");
  }

  /// Answers kubectl of a worker.
  void on_kubectl(const std::string& words, std::string answer) {
    runner.on(std::string(kubectl) + context.at("/etc/kubernetes/kubelet.conf").string() +
                  " --request-timeout=60s " + words,
              ProcessResult{0, std::move(answer), ""});
  }

  static Step& step(const StepList& steps, std::string_view id) {
    const auto found = std::ranges::find_if(steps, [&](const auto& it) { return it->id() == id; });
    EXPECT_NE(found, steps.end()) << id;
    return **found;
  }

  void mounts(const std::string& table) {
    ASSERT_TRUE(make_directories(context.at("/proc/self")));
    ASSERT_TRUE(write_file_atomic(context.at("/proc/self/mountinfo"), table));
  }

  /// How often a command that begins like this was run.
  auto runs(std::string_view prefix) const {
    return std::ranges::count_if(runner.commands,
                                 [&](const auto& line) { return line.starts_with(prefix); });
  }

  TemporaryDirectory folder = *TemporaryDirectory::create("bedplate-steps");
  FakeProcessRunner runner;
  FakeClock clock;
  Context context;
};

std::string node(const std::string& name, const std::string& cidr, const std::string& address,
                 bool ready = true) {
  return Json{{"metadata", {{"name", name}}},
              {"spec", cidr.empty() ? Json::object() : Json{{"podCIDR", cidr}}},
              {"status",
               {{"addresses",
                 {{{"type", "Hostname"}, {"address", name}},
                  {{"type", "InternalIP"}, {"address", address}}}},
                {"conditions", {{{"type", "Ready"}, {"status", ready ? "True" : "False"}}}}}}}
      .dump();
}

TEST_F(Steps, TheClockIsRaisedAndNeverSetBack) {
  const auto steps = host_steps(context);
  context.bundle.created_at = clock.now() + std::chrono::hours(1);
  auto& step = this->step(steps, "clock");
  EXPECT_EQ(step.probe()->probe, Probe::missing);
  ASSERT_TRUE(step.apply());
  EXPECT_EQ(clock.now(), context.bundle.created_at + unsaved_time);
  context.bundle.created_at -= std::chrono::hours(2);
  EXPECT_EQ(step.probe()->probe, Probe::satisfied);
}

TEST_F(Steps, TheTimeSavedByAnEarlierRunCountsForTheClock) {
  const auto power_cut = clock.now() + std::chrono::hours(100);
  ASSERT_TRUE(save_time(context.root, power_cut));
  const auto steps = host_steps(context);
  auto& step = this->step(steps, "clock");
  EXPECT_EQ(step.probe()->probe, Probe::missing);
  ASSERT_TRUE(step.apply());
  EXPECT_GT(clock.now(), power_cut);
  EXPECT_LE(clock.now(), power_cut + unsaved_time);
  // The agent starts anew, the machine does not: its clock is right and stays as it is.
  ASSERT_TRUE(save_time(context.root, clock.now()));
  EXPECT_EQ(step.probe()->probe, Probe::satisfied);
}

TEST_F(Steps, SavedTimeGoesForwardOnly) {
  EXPECT_FALSE(saved_time(context.root));
  ASSERT_TRUE(save_time(context.root, clock.now()));
  EXPECT_EQ(saved_time(context.root), clock.now());
  // As a machine without a battery starts.
  ASSERT_TRUE(save_time(context.root, clock.now() - std::chrono::hours(1)));
  EXPECT_EQ(saved_time(context.root), clock.now());
  ASSERT_TRUE(save_time(context.root, clock.now() + std::chrono::seconds(10)));
  EXPECT_EQ(saved_time(context.root), clock.now() + std::chrono::seconds(10));
}

TEST_F(Steps, TimeIsSavedWhileASaverLivesWhateverStepsDo) {
  {
    const TimeSaver saver(context.root, clock);
    while (!saved_time(context.root)) std::this_thread::yield();
    while (saved_time(context.root) != clock.now()) std::this_thread::yield();
  }  // and it ends at once
  EXPECT_EQ(saved_time(context.root), clock.now());
}

TEST_F(Steps, ADiskInAnotherMachineIsAConflictThatSaysWhatToDo) {
  const auto put = [&](const std::string& mac) {
    const auto folder = context.at("/sys/class/net/eth0");
    ASSERT_TRUE(make_directories(folder / "device"));
    ASSERT_TRUE(write_file_atomic(folder / "address", mac + "\n"));
  };
  auto steps = host_steps(context);
  ASSERT_EQ(steps.front()->id(), "hardware") << "nothing else is done before";
  auto& step = *steps.front();
  put("52:54:00:be:d0:02");
  EXPECT_EQ(step.probe()->probe, Probe::satisfied);
  put("52:54:00:be:d0:01");
  StepList only;
  only.push_back(std::move(steps.front()));
  const auto moved = run_steps(only, {}, clock);
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().kind, ErrorKind::conflict);
  EXPECT_NE(moved.error().what.find("52:54:00:be:d0:01"), std::string::npos);
  EXPECT_FALSE(moved.error().hint.empty());
  context.overrides.match_unchecked = true;
  EXPECT_EQ(step.probe()->detail, "not checked");
}

TEST_F(Steps, ADamagedSystemImageIsAConflict) {
  const auto steps = host_steps(context);
  auto& step = this->step(steps, "system-root");
  mounts(
      "1 1 8:1 / / rw - ext4 x rw\n25 1 254:3 / / ro - squashfs x ro\n26 25 8:5 / /var rw - ext4 "
      "x\n");
  const std::string ask = "dmsetup status --major 254 --minor 3";
  runner.on(ask, ProcessResult{0, "0 332800 verity V\n", ""});
  EXPECT_EQ(step.probe()->detail, "verity, intact");
  runner.on(ask, ProcessResult{0, "0 332800 verity C\n", ""});
  EXPECT_EQ(step.probe()->probe, Probe::conflict);
  EXPECT_EQ(step.probe()->detail.find("intact"), std::string::npos);
}

TEST_F(Steps, AVerityDeviceThatIsNotTheRootProvesNothing) {
  const auto steps = host_steps(context);
  auto& step = this->step(steps, "system-root");
  // Whoever looks for a device called "root" finds one that is intact.
  runner.on("dmsetup status", ProcessResult{0, "0 332800 verity V\n", ""});
  runner.on("dmsetup status --major 0 --minor 45", ProcessResult{1, "", "Device does not exist."});
  runner.on("dmsetup status --major 254 --minor 7", ProcessResult{0, "0 99 linear 8:1 0\n", ""});
  for (const auto* table : {"", "25 1 0:45 / / ro - overlay overlay ro\n",
                            "25 1 254:7 / / rw - ext4 /dev/mapper/vg-root rw\n"}) {
    mounts(table);
    const auto seen = step.probe();
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->probe, Probe::satisfied) << table;
    EXPECT_EQ(seen->detail.find("verity"), std::string::npos) << table;
    EXPECT_EQ(seen->detail.find("intact"), std::string::npos) << table;
  }
}

TEST_F(Steps, SettingsOfATestHostAreNamed) {
  EXPECT_EQ(step(host_steps(context), "lab-settings").probe()->detail, "none");
  const auto file = context.at("/etc/bedplate/overrides.yaml");
  ASSERT_TRUE(make_directories(file.parent_path()));
  ASSERT_TRUE(write_file_atomic(file, "network: preconfigured\nkubelet: {failSwapOn: false}\n"));
  context.overrides = Overrides::read(file).value();
  EXPECT_EQ(step(host_steps(context), "lab-settings").probe()->detail, "kubelet, network");
}

TEST_F(Steps, TheNetworkIsLeftToOthersWhereItIsPreconfigured) {
  context.overrides.network_preconfigured = true;
  runner.on("ip -json -4 address", ProcessResult{0, "[]", ""});
  const auto steps = host_steps(context);
  auto& step = this->step(steps, "host-network");
  EXPECT_EQ(step.probe()->probe, Probe::missing);
  EXPECT_EQ(step.apply().error().kind, ErrorKind::conflict);
  EXPECT_FALSE(std::filesystem::exists(context.at("/run/systemd/network")));
}

TEST_F(Steps, AnAddressWithAnotherPrefixIsNotOurs) {
  const auto steps = host_steps(context);
  auto& step = this->step(steps, "host-network");
  const auto answer = [](int length) {
    const Json info{{"local", "192.0.2.12"}, {"prefixlen", length}};
    return ProcessResult{0, Json::array({{{"addr_info", {info}}}}).dump(), ""};
  };
  runner.on("ip -json -4 address", answer(16));
  EXPECT_EQ(step.probe()->probe, Probe::missing);
  runner.on("ip -json -4 address", answer(24));
  EXPECT_EQ(step.probe()->probe, Probe::satisfied);
}

TEST_F(Steps, ANetworkThatDoesNotComeIsSaidWithAHint) {
  runner.on("ip -json -4 address", ProcessResult{0, "[]", ""});
  runner.on("networkctl reload", ProcessResult{});
  const auto steps = host_steps(context);
  const auto failed = step(steps, "host-network").apply();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::timeout);
  EXPECT_NE(failed.error().hint.find("MAC address"), std::string::npos);
  EXPECT_EQ(read_file(context.at("/run/systemd/network/10-bedplate.network")).value(),
            render_network(context.self));
}

/// A machine whose /var is on the fifth partition of vda; sysfs as the kernel shows it.
class BootNote : public Steps {
 protected:
  void SetUp() override {
    Steps::SetUp();
    mounts("25 1 254:0 / / ro - squashfs x ro\n26 25 253:5 / /var rw - ext4 /dev/vda5 rw\n");
    partition("vda", 2, "BP-ESP");
    partition("vda", 5, "BP-STATE");
    partition("vdb", 2, "BP-ESP");  // somebody else's, and found first by name alone
    ASSERT_TRUE(make_directories(context.at("/sys/dev/block")));
    std::filesystem::create_symlink("../../devices/vda/vda5", context.at("/sys/dev/block/253:5"));
    ASSERT_TRUE(make_directories(context.at("/dev")));
    ASSERT_TRUE(write_file_atomic(context.at("/dev/vda2"), ""));
    runner.on("mtype -i /dev/vda2 ::/bedplate/continued",
              [this](const Command&) -> Result<ProcessResult> {
                return ProcessResult{noted_ ? 0 : 1, "", ""};
              });
    runner.on("mdel -i /dev/vda2 ::/bedplate/continued",
              [this](const Command&) -> Result<ProcessResult> {
                noted_ = false;
                return ProcessResult{};
              });
  }
  void partition(const std::string& disk, int number, const std::string& name) {
    const auto node = disk + std::to_string(number);
    const auto folder = context.at("/sys/devices/" + disk + "/" + node);
    ASSERT_TRUE(make_directories(folder));
    ASSERT_TRUE(write_file_atomic(folder / "partition", std::to_string(number) + "\n"));
    ASSERT_TRUE(write_file_atomic(
        folder / "uevent", "DEVNAME=" + node + "\nDEVTYPE=partition\nPARTNAME=" + name + "\n"));
  }

  bool noted_ = true;
};

TEST_F(BootNote, IsTakenAwayWhenTheNodeHasComeUp) {
  StepList steps;
  steps.push_back(boot_note_step(context));
  const auto ended = run_steps(steps, {}, clock);
  ASSERT_TRUE(ended) << ended.error().render();
  EXPECT_FALSE(noted_);
  EXPECT_EQ(runs("mdel"), 1);
}

TEST_F(BootNote, IsNotLookedForAtEveryPass) {
  noted_ = false;
  StepList steps;
  steps.push_back(boot_note_step(context));
  for (int pass = 0; pass < 3; ++pass) ASSERT_TRUE(run_steps(steps, {}, clock));
  EXPECT_EQ(runner.commands.size(), 1U);
}

TEST_F(BootNote, OfAHostWithoutADiskOfOursIsNoneOfOurBusiness) {
  mounts("25 1 0:45 / / ro - overlay x ro\n26 25 0:46 / /var rw - tmpfs x rw\n");
  EXPECT_EQ(boot_note_step(context)->probe()->probe, Probe::satisfied);
  EXPECT_TRUE(runner.commands.empty());
}

class Time : public Steps {
 protected:
  void SetUp() override {
    Steps::SetUp();
    runner.on("systemctl", ProcessResult{});
  }
  static StepList only(StepList steps) {
    std::erase_if(steps, [](const auto& step) { return step->id() != "time"; });
    return steps;
  }
};

TEST_F(Time, IsKeptByChronydWithTheSitesServers) {
  context.self.ntp = {"192.0.2.53"};
  const auto steps = only(host_steps(context));
  ASSERT_EQ(steps.size(), 1U);
  ASSERT_TRUE(run_steps(steps, {}, clock));
  EXPECT_EQ(steps[0]->probe()->detail, "from 192.0.2.53");
  EXPECT_EQ(read_file(context.at("/run/bedplate/chrony.conf")).value(),
            render_chrony(context.site, context.self));
  EXPECT_EQ(runs("systemctl restart bedplate-time.service"), 1);
}

TEST_F(Time, NeverBlocksTheNode) {
  runner.on("systemctl restart bedplate-time.service", ProcessResult{1, "", "no"});
  const auto steps = only(host_steps(context));
  ASSERT_TRUE(run_steps(steps, {}, clock));
  ASSERT_TRUE(run_steps(steps, {}, clock));
  EXPECT_EQ(runs("systemctl restart"), 1) << "not tried at every pass";
  EXPECT_NE(steps[0]->probe()->detail.find("does not run"), std::string::npos);
  clock.uptime += std::chrono::minutes(6);
  runner.on("systemctl restart bedplate-time.service", ProcessResult{});
  ASSERT_TRUE(run_steps(steps, {}, clock));
  EXPECT_EQ(steps[0]->probe()->detail, "from node-1");
}

TEST_F(Time, OfAHostThatSharesItsClockIsLeftAlone) {
  const auto file = context.at("/etc/bedplate/overrides.yaml");
  ASSERT_TRUE(make_directories(file.parent_path()));
  ASSERT_TRUE(write_file_atomic(file, "clock: external\nmatch: unchecked\n"));
  context.overrides = Overrides::read(file).value();
  context.bundle.created_at = clock.now() + std::chrono::hours(1);
  const auto steps = host_steps(context);
  EXPECT_EQ(step(steps, "lab-settings").probe()->detail, "match, clock");
  EXPECT_EQ(step(steps, "clock").probe()->probe, Probe::satisfied);
  EXPECT_TRUE(only(host_steps(context)).empty());
}

class Unit : public Steps {
 protected:
  std::unique_ptr<Step> make(std::function<bool()> answers = {}) {
    return unit_step(context, "web", "serve",
                     {"web.service", unit_, {{"/etc/web.conf", config_}}, std::move(answers)});
  }
  void active(int status) {
    runner.on("systemctl is-active web.service", ProcessResult{status, "", ""});
  }
  void SetUp() override {
    Steps::SetUp();
    runner.on("systemctl", ProcessResult{});
  }

  std::string unit_ = "[Service]\nExecStart=/bin/web\n";
  std::string config_ = "port 1\n";
};

TEST_F(Unit, IsWrittenBesideItsFilesAndStarted) {
  const auto step = make();
  EXPECT_EQ(step->probe()->probe, Probe::missing);
  ASSERT_TRUE(step->apply());
  EXPECT_EQ(read_file(context.at("/run/systemd/system/web.service")).value(), unit_);
  EXPECT_EQ(read_file(context.at("/etc/web.conf")).value(), config_);
  EXPECT_EQ(runner.commands,
            (std::vector<std::string>{"systemctl daemon-reload", "systemctl restart web.service"}));
  EXPECT_EQ(step->probe()->probe, Probe::satisfied);
}

TEST_F(Unit, AChangedFileOrADeadProcessRestartsIt) {
  ASSERT_TRUE(make()->apply());
  config_ = "port 2\n";
  EXPECT_EQ(make()->probe()->detail, "/etc/web.conf differs");
  ASSERT_TRUE(make()->apply());
  EXPECT_EQ(make()->probe()->probe, Probe::satisfied);
  active(3);
  EXPECT_EQ(make()->probe()->detail, "not running");
}

TEST_F(Unit, AKillBetweenItsFilesAndItsRestartIsMadeGood) {
  ASSERT_TRUE(make()->apply());
  config_ = "port 2\n";
  runner.on("systemctl restart", ProcessResult{1, "", "killed"});
  ASSERT_FALSE(make()->apply());
  // All files are as wanted, and the process that runs has read the old ones.
  EXPECT_EQ(read_file(context.at("/etc/web.conf")).value(), config_);
  EXPECT_EQ(make()->probe()->probe, Probe::missing);
  runner.on("systemctl restart", ProcessResult{});
  ASSERT_TRUE(make()->apply());
  EXPECT_EQ(make()->probe()->probe, Probe::satisfied);
}

class Kubelet : public Steps {
 protected:
  void SetUp() override {
    Steps::SetUp();
    runner.on("systemctl", ProcessResult{0, "active\n", ""});
    put("/run/systemd/system/kubelet.service", "unit\n");
    put("/var/lib/kubelet/config.yaml", "one\n");
    put("/var/lib/kubelet/kubeadm-flags.env", "flags\n");
  }
  void put(const std::string& path, const std::string& content) {
    ASSERT_TRUE(make_directories(context.at(path).parent_path()));
    ASSERT_TRUE(write_file_atomic(context.at(path), content));
  }
};

TEST_F(Kubelet, IsStartedAnewWithAChangedConfiguration) {
  const auto steps = worker_steps(context);
  auto& step = this->step(steps, "kubelet");
  EXPECT_EQ(step.probe()->probe, Probe::missing) << "nobody knows what it was started with";
  ASSERT_TRUE(step.apply());
  EXPECT_EQ(step.probe()->probe, Probe::satisfied);
  for (const auto* path : {"/run/systemd/system/kubelet.service", "/var/lib/kubelet/config.yaml",
                           "/var/lib/kubelet/kubeadm-flags.env"}) {
    put(path, "changed\n");
    EXPECT_EQ(step.probe()->probe, Probe::missing) << path;
    ASSERT_TRUE(step.apply());
    EXPECT_EQ(step.probe()->probe, Probe::satisfied) << path;
  }
  EXPECT_EQ(runs("systemctl restart kubelet.service"), 4);
}

TEST_F(Kubelet, ThatKubeadmHasStartedIsNotStartedOnceMore) {
  ASSERT_TRUE(note_kubelet_start(context));
  const auto steps = worker_steps(context);
  EXPECT_EQ(step(steps, "kubelet").probe()->probe, Probe::satisfied);
}

TEST_F(Unit, ThatNeverAnswersIsATimeoutThatNamesTheLog) {
  const auto failed = make([] { return false; })->apply();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::timeout);
  EXPECT_EQ(failed.error().hint, "journalctl -u web.service");
}

TEST_F(Steps, ThePodNetworkIsAwaitedThenWritten) {
  int asked = 0;
  runner.on(std::string(kubectl) + context.at("/etc/kubernetes/kubelet.conf").string() +
                " --request-timeout=60s get node node-2",
            [&asked](const Command&) -> Result<ProcessResult> {
              return ProcessResult{0, node("node-2", ++asked < 4 ? "" : "10.244.1.0/24", ""), ""};
            });
  const auto steps = network_steps(context);
  auto& step = this->step(steps, "network-plugin");
  EXPECT_EQ(step.probe()->probe, Probe::missing);
  ASSERT_TRUE(step.apply());
  EXPECT_EQ(read_file(context.at("/etc/cni/net.d/10-bedplate.conflist")).value(),
            render_cni("10.244.1.0/24"));
  EXPECT_EQ(step.probe()->probe, Probe::satisfied);
}

TEST_F(Steps, AChangedPodNetworkIsWrittenAnew) {
  ASSERT_TRUE(make_directories(context.at("/etc/cni/net.d")));
  ASSERT_TRUE(write_file_atomic(context.at("/etc/cni/net.d/10-bedplate.conflist"),
                                render_cni("10.244.7.0/24")));
  on_kubectl("get node node-2", node("node-2", "10.244.1.0/24", ""));
  const auto steps = network_steps(context);
  EXPECT_EQ(step(steps, "network-plugin").probe()->probe, Probe::missing);
}

TEST_F(Steps, RoutesLeadToTheOtherNodesOnly) {
  const auto list = R"({"items":[)" + node("node-1", "10.244.0.0/24", "192.0.2.11") + "," +
                    node("node-2", "10.244.1.0/24", "192.0.2.12") + "," +
                    node("node-3", "", "192.0.2.13") + "]}";
  on_kubectl("get nodes", list);
  runner.on("ip route show 10.244.0.0/24", ProcessResult{});
  runner.on("ip route replace", ProcessResult{});
  const auto steps = network_steps(context);
  auto& step = this->step(steps, "pod-routes");
  EXPECT_EQ(step.probe()->probe, Probe::missing);
  ASSERT_TRUE(step.apply());
  EXPECT_EQ(runs("ip route replace"), 1);
  EXPECT_EQ(runs("ip route replace 10.244.0.0/24 via 192.0.2.11"), 1);
  // A route through a machine whose address merely begins alike is not the wanted one.
  runner.on("ip route show 10.244.0.0/24", ProcessResult{0, "via 192.0.2.110 dev eth0 \n", ""});
  EXPECT_EQ(step.probe()->probe, Probe::missing);
  runner.on("ip route show 10.244.0.0/24", ProcessResult{0, "via 192.0.2.11 dev eth0 \n", ""});
  EXPECT_EQ(step.probe()->probe, Probe::satisfied);
}

TEST_F(Steps, ANodeThatDoesNotBecomeReadyIsATimeoutNotAHang) {
  on_kubectl("get node node-2", node("node-2", "10.244.1.0/24", "", false));
  const auto steps = network_steps(context);
  const auto failed = step(steps, "node-ready").apply();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::timeout);
  EXPECT_LE(clock.uptime, std::chrono::minutes(16));
}

TEST_F(Steps, AnUnknownNetworkPluginIsRefusedBeforeAnythingIsChanged) {
  context.site.plugin = NetworkPlugin::cilium;
  const auto steps = network_steps(context);
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(run_steps(steps, {}, clock).error().kind, ErrorKind::conflict);
  EXPECT_TRUE(runner.commands.empty());
}

}  // namespace
}  // namespace bedplate::agent

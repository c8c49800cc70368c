// Steps that are killed at random instants and run again end in the same state.

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/process_fake.hpp"
#include "node-agent/context.hpp"
#include "node-agent/host/render.hpp"
#include "node-agent/status.hpp"

namespace bedplate::agent {
namespace {

/// An API server that is ready; nobody else is asked.
class ReadyServer final : public HttpClient {
 public:
  Result<HttpResponse> send(const HttpRequest& request) override {
    EXPECT_EQ(request.url, "https://192.0.2.11:6443/readyz");
    EXPECT_EQ(request.tls.ca_pem, "made by kubeadm\n");
    HttpResponse out;
    out.status = 200;
    return out;
  }
};

/// An object of the cluster as "kind/name"; cluster-wide ones are in no namespace.
struct Object {
  std::string space;
  std::string name;
};

/// What makes objects in the cluster, by the id of its step, in the order in which kubeadm 1.36
/// creates them (cmd/kubeadm/app/phases; of CoreDNS, in which it prints them).
const std::map<std::string, std::vector<Object>>& objects_of_phases() {
  static const std::map<std::string, std::vector<Object>> all{
      {"kubeadm-upload-config",
       {{"kube-system", "configmap/kubeadm-config"},
        {"kube-system", "role/kubeadm:nodes-kubeadm-config"},
        {"kube-system", "rolebinding/kubeadm:nodes-kubeadm-config"},
        {"kube-system", "configmap/kubelet-config"},
        {"kube-system", "role/kubeadm:kubelet-config"},
        {"kube-system", "rolebinding/kubeadm:kubelet-config"}}},
      {"kubeadm-bootstrap-token",
       {{"", "clusterrole/kubeadm:get-nodes"},
        {"", "clusterrolebinding/kubeadm:get-nodes"},
        {"", "clusterrolebinding/kubeadm:kubelet-bootstrap"},
        {"", "clusterrolebinding/kubeadm:node-autoapprove-bootstrap"},
        {"", "clusterrolebinding/kubeadm:node-autoapprove-certificate-rotation"},
        {"", "clusterrolebinding/kubeadm:apiserver-kubelet-client"},
        {"kube-public", "configmap/cluster-info"},
        {"kube-public", "role/kubeadm:bootstrap-signer-clusterinfo"},
        {"kube-public", "rolebinding/kubeadm:bootstrap-signer-clusterinfo"}}},
      {"addon-kube-proxy",
       {{"kube-system", "configmap/kube-proxy"},
        {"kube-system", "daemonset/kube-proxy"},
        {"kube-system", "serviceaccount/kube-proxy"},
        {"", "clusterrolebinding/kubeadm:node-proxier"},
        {"kube-system", "role/kube-proxy"},
        {"kube-system", "rolebinding/kube-proxy"}}},
      {"addon-coredns",
       {{"kube-system", "deployment/coredns"},
        {"kube-system", "configmap/coredns"},
        {"kube-system", "service/kube-dns"},
        {"", "clusterrole/system:coredns"},
        {"", "clusterrolebinding/system:coredns"},
        {"kube-system", "serviceaccount/coredns"}}}};
  return all;
}

/// kubeadm, systemctl and kubectl as far as the steps see them: they change files below the root,
/// slowly enough to be killed in the middle, and not atomically, as the real ones.
class Machine {
 public:
  explicit Machine(std::filesystem::path root) : root_(std::move(root)) {
    context.root = root_;
    context.site = read_site(std::string(BEDPLATE_SOURCE_DIR) + "/examples/two-nodes.yaml").value();
    context.self = context.site.nodes[0];
    context.bundle.images = {"registry.k8s.io/etcd:1", "registry.k8s.io/coredns/coredns:1",
                             "registry.k8s.io/pause:1"};
    context.runner = &runner;
    context.clock = &clock;
    context.http = &server;
    script();
  }

  StepList steps() const { return control_plane_steps(context); }

  /// The first `count` objects of a phase are there, as after a cut.
  void create(const std::string& step, std::size_t count) const {
    const auto& objects = objects_of_phases().at(step);
    for (std::size_t i = 0; i < count; ++i) slowly(path_of(objects[i]), "there\n");
  }
  static Object auto_approval() {
    return {"", "clusterrolebinding/kubeadm:node-autoapprove-bootstrap"};
  }
  bool has(const Object& object) const { return context.has_content(path_of(object)); }

  FakeProcessRunner runner;
  FakeClock clock;
  ReadyServer server;
  Context context;

 private:
  static std::string path_of(const Object& object) {
    return fmt::format("/cluster/{}/{}", object.space, object.name);
  }

  /// A phase that makes one object after the other, and may be killed between any two.
  void object_phase(const std::string& words, const std::string& step) {
    runner.on(words, [this, step](const Command&) -> Result<ProcessResult> {
      create(step, objects_of_phases().at(step).size());
      return ProcessResult{};
    });
  }

  /// kubectl get --ignore-not-found -o name -n SPACE KIND/NAME…
  Result<ProcessResult> get_names(const Command& command) const {
    std::string out;
    std::string space;
    for (std::size_t i = 1; i < command.argv.size(); ++i) {
      const auto& word = command.argv[i];
      if (command.argv[i - 1] == "-n") space = word;
      const auto slash = word.find('/');
      if (slash == std::string::npos || slash == 0) continue;
      const bool wide = word.starts_with("cluster");
      if (has({wide ? "" : space, word})) out += word + "\n";
    }
    return ProcessResult{0, out, ""};
  }

  /// Truncates, waits, writes: a kill leaves an empty file.
  void slowly(const std::string& path, const std::string& content) const {
    const auto full = context.at(path);
    std::filesystem::create_directories(full.parent_path());
    auto fd = open_file(full, O_WRONLY | O_CREAT | O_TRUNC);
    ::usleep(300);
    (void)write_all(fd->get(), as_byte_span(content));
  }

  void phase(const std::string& words, std::vector<std::string> paths) {
    runner.on("/opt/bedplate/current/bin/kubeadm init phase " + words,
              [this, paths](const Command&) -> Result<ProcessResult> {
                for (const auto& path : paths) slowly(path, "made by kubeadm\n");
                return ProcessResult{};
              });
  }

  /// As kubeadm does it: what is there is kept, and an empty file is an error.
  Result<ProcessResult> kubeconfigs() const {
    for (const auto* name :
         {"admin", "super-admin", "kubelet", "controller-manager", "scheduler"}) {
      const auto path = fmt::format("/etc/kubernetes/{}.conf", name);
      const auto present = read_file(context.at(path));
      if (present && present->empty()) {
        return ProcessResult{1, "", "failed to find CurrentContext in Contexts of " + path};
      }
      if (!present) slowly(path, "made by kubeadm\n");
    }
    return ProcessResult{};
  }

  void script() {
    std::vector<std::string> pki;
    for (const auto* name : {"ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca",
                             "front-proxy-client", "etcd/ca", "etcd/server", "etcd/peer",
                             "etcd/healthcheck-client", "apiserver-etcd-client"}) {
      pki.push_back(fmt::format("/etc/kubernetes/pki/{}.crt", name));
      pki.push_back(fmt::format("/etc/kubernetes/pki/{}.key", name));
    }
    pki.insert(pki.end(), {"/etc/kubernetes/pki/sa.key", "/etc/kubernetes/pki/sa.pub"});
    phase("certs all", pki);
    runner.on("/opt/bedplate/current/bin/kubeadm init phase kubeconfig all",
              [this](const Command&) { return kubeconfigs(); });
    phase("etcd local", {"/etc/kubernetes/manifests/etcd.yaml"});
    phase("control-plane all", {"/etc/kubernetes/manifests/kube-apiserver.yaml",
                                "/etc/kubernetes/manifests/kube-controller-manager.yaml",
                                "/etc/kubernetes/manifests/kube-scheduler.yaml"});
    phase("kubelet-start", {"/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env"});
    phase("mark-control-plane", {});
    const std::string init = "/opt/bedplate/current/bin/kubeadm init phase ";
    object_phase(init + "upload-config all", "kubeadm-upload-config");
    object_phase(init + "bootstrap-token", "kubeadm-bootstrap-token");
    object_phase(init + "addon kube-proxy", "addon-kube-proxy");
    runner.on(init + "addon coredns --print-manifest", ProcessResult{});
    runner.on("sync", ProcessResult{});
    runner.on("systemctl", ProcessResult{0, "active\n", ""});
    runner.on("/opt/bedplate/current/bin/kubectl", ProcessResult{0, "node/node-1\n", ""});
    const auto kubectl = "/opt/bedplate/current/bin/kubectl --kubeconfig " +
                         (root_ / "etc/kubernetes/admin.conf").string() + " --request-timeout=60s ";
    runner.on(kubectl + "get --ignore-not-found -o name -n",
              [this](const Command& command) { return get_names(command); });
    object_phase(kubectl + "apply --server-side --force-conflicts", "addon-coredns");
    runner.on(kubectl + "get clusterrolebinding kubeadm:node-autoapprove-bootstrap",
              [this](const Command&) -> Result<ProcessResult> {
                return ProcessResult{0, has(auto_approval()) ? "there\n" : "", ""};
              });
    runner.on(kubectl + "delete clusterrolebinding kubeadm:node-autoapprove-bootstrap",
              [this](const Command&) -> Result<ProcessResult> {
                std::filesystem::remove(context.at(path_of(auto_approval())));
                return ProcessResult{};
              });
  }

  std::filesystem::path root_;
};

/// Path and content of every file below.
std::string state_of(const std::filesystem::path& root) {
  std::vector<std::string> lines;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file()) continue;
    lines.push_back(entry.path().lexically_relative(root).string() + " " +
                    Digest::of(read_file(entry.path()).value()).hex());
  }
  std::ranges::sort(lines);
  return fmt::format("{}", fmt::join(lines, "\n"));
}

TEST(Convergence, KilledAtAnyInstantItEndsTheSame) {
  auto reference = *TemporaryDirectory::create("bedplate-converge");
  {
    Machine machine(reference.path());
    const auto steps = machine.steps();
    ASSERT_TRUE(run_steps(steps, {}, machine.clock));
  }
  const auto wanted = state_of(reference.path());
  EXPECT_EQ(wanted.find("node-autoapprove-bootstrap "), std::string::npos)
      << "any token could ask for any node's name";
  EXPECT_NE(wanted.find("node-autoapprove-certificate-rotation "), std::string::npos);
  unsigned first = 1;
  unsigned last = 20;
  if (const char* seed = std::getenv("BEDPLATE_SEED"); seed != nullptr) {
    first = last = static_cast<unsigned>(std::atoi(seed));
  }
  for (auto seed = first; seed <= last; ++seed) {
    auto folder = *TemporaryDirectory::create("bedplate-converge");
    std::minstd_rand random(seed);
    for (int cut = 0; cut < 3; ++cut) {
      const pid_t child = ::fork();
      if (child == 0) {
        Machine machine(folder.path());
        const auto steps = machine.steps();
        ::_exit(run_steps(steps, {}, machine.clock) ? 0 : 1);
      }
      ::usleep(static_cast<useconds_t>(random() % 20000));
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    Machine machine(folder.path());
    const auto steps = machine.steps();
    const auto ended = run_steps(steps, {}, machine.clock);
    ASSERT_TRUE(ended) << "BEDPLATE_SEED=" << seed << "\n" << ended.error().render();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
      // A temporary file of a killed writer may stay; it is overwritten by the next of its number.
      if (entry.path().string().find(".tmp.") != std::string::npos) {
        std::filesystem::remove(entry.path());
      }
    }
    EXPECT_EQ(state_of(folder.path()), wanted) << "BEDPLATE_SEED=" << seed;
  }
}

TEST(Convergence, AnObjectPhaseIsNotDoneBeforeItsLastObjectIsThere) {
  for (const auto& [id, objects] : objects_of_phases()) {
    for (std::size_t count = 0; count <= objects.size(); ++count) {
      auto folder = *TemporaryDirectory::create("bedplate-converge");
      Machine machine(folder.path());
      machine.create(id, count);
      const auto steps = machine.steps();
      const auto step =
          std::ranges::find_if(steps, [&](const auto& candidate) { return candidate->id() == id; });
      ASSERT_NE(step, steps.end()) << id;
      const auto wanted = count == objects.size() ? Probe::satisfied : Probe::missing;
      EXPECT_EQ((*step)->probe()->probe, wanted)
          << id << " with " << count << " of " << objects.size() << " objects";
      ASSERT_TRUE((*step)->apply());
      EXPECT_EQ((*step)->probe()->probe, Probe::satisfied) << id;
    }
  }
}

TEST(Convergence, KeysOfAnExistingClusterAreNeverMadeAnew) {
  auto folder = *TemporaryDirectory::create("bedplate-converge");
  Machine machine(folder.path());
  std::filesystem::create_directories(machine.context.at("/var/lib/etcd/member"));
  const auto steps = machine.steps();
  const auto refused = run_steps(steps, {}, machine.clock);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  for (const auto& command : machine.runner.commands) {
    EXPECT_EQ(command.find("certs"), std::string::npos) << command;
  }
}

TEST(Convergence, AnEmptyKubeconfigOfAKilledRunIsMadeAnewAndWholeOnesStay) {
  auto folder = *TemporaryDirectory::create("bedplate-converge");
  Machine machine(folder.path());
  const auto etc = machine.context.at("/etc/kubernetes");
  ASSERT_TRUE(make_directories(etc));
  ASSERT_TRUE(write_file_atomic(etc / "admin.conf", ""));
  ASSERT_TRUE(write_file_atomic(etc / "scheduler.conf", "whole"));
  const auto steps = machine.steps();
  const auto ended = run_steps(steps, {}, machine.clock);
  ASSERT_TRUE(ended) << ended.error().render();
  EXPECT_EQ(read_file(etc / "admin.conf").value(), "made by kubeadm\n");
  EXPECT_EQ(read_file(etc / "scheduler.conf").value(), "whole");
}

TEST(Convergence, ASecondPassChangesNothing) {
  auto folder = *TemporaryDirectory::create("bedplate-converge");
  Machine machine(folder.path());
  const auto steps = machine.steps();
  ASSERT_TRUE(run_steps(steps, {}, machine.clock));
  machine.runner.commands.clear();
  ASSERT_TRUE(run_steps(steps, {}, machine.clock));
  for (const auto& command : machine.runner.commands) {
    EXPECT_EQ(command.find("bin/kubeadm "), std::string::npos) << command;
  }
}

class Board : public testing::Test {
 protected:
  Json status() { return read_json(folder_.path() / "status.json").value(); }
  std::string console() { return read_file(folder_.path() / "console").value(); }
  void SetUp() override { ASSERT_TRUE(write_file_atomic(folder_.path() / "console", "")); }

  TemporaryDirectory folder_ = *TemporaryDirectory::create("bedplate-board");
  FakeClock clock_;
  StatusBoard board_{folder_.path() / "status.json", folder_.path() / "console", clock_, "node-1",
                     "worker"};
};

TEST_F(Board, ShowsTheErrorWithItsHintAndTellsTheConsoleOnce) {
  const Error error = Error(ErrorKind::network, "no answer").during("joining").with_hint("wait");
  for (int attempt = 0; attempt < 3; ++attempt) {
    board_.on_step({"join", "join", StepState::applying, "", {}, std::nullopt});
    board_.on_step({"join", "join", StepState::failed, "", {}, error});
  }
  const auto step = status()["steps"][0];
  EXPECT_EQ(step["state"], "failed");
  EXPECT_EQ(step["error"]["hint"], "wait");
  EXPECT_EQ(step["error"]["while"][0], "joining");
  // The file is opened anew for each line, as a console is: the last line is what it shows.
  EXPECT_EQ(console().find("started"), std::string::npos);
  board_.on_step({"join", "join", StepState::satisfied, "", std::chrono::seconds(3), std::nullopt});
  EXPECT_TRUE(status()["steps"][0]["error"].is_null());
  EXPECT_NE(console().find("bedplate: agent/join: ok (3.0 s)"), std::string::npos);
}

TEST_F(Board, ShowsWhatAProgramSaidAlsoWhenItIsNotUtf8) {
  const Error error(ErrorKind::process, "it said \xff");
  board_.on_step({"join", "join", StepState::failed, "\xff", {}, error});
  EXPECT_EQ(status()["steps"][0]["error"]["error"], "it said ?");
}

TEST_F(Board, ReadyIsSaidWhenItBegins) {
  board_.set_phase("ready");
  EXPECT_EQ(status()["phase"], "ready");
  EXPECT_EQ(console(), "bedplate: agent: ready\n");
}

}  // namespace
}  // namespace bedplate::agent

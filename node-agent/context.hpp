#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/http_client.hpp"
#include "core/json.hpp"
#include "core/process.hpp"
#include "core/result.hpp"
#include "core/site.hpp"
#include "core/step.hpp"

namespace bedplate::agent {

/// What the bundle says that the steps need; read once, from its signed header.
struct BundleFacts {
  std::filesystem::path path;
  std::string payload_version;      ///< of "node-payload"
  std::string payload_digest;       ///< of "node-payload"
  std::vector<std::string> images;  ///< full references
  WallTime created_at{};

  /// Tag of the image with this repository ("registry.k8s.io/etcd"); ErrorKind::not_found.
  Result<std::string> tag_of(std::string_view repository) const;
};

/// Settings that only a test host needs (qemu-tests/lab/hosts); absent on machines.
struct Overrides {
  Json kubelet = Json::object();     ///< merged into the KubeletConfiguration
  Json kube_proxy = Json::object();  ///< merged into the KubeProxyConfiguration
  bool systemd_cgroup = true;
  std::string containerd_extra;  ///< TOML, appended to the CRI section's file
  std::vector<std::string> ignore_preflight_errors;
  bool network_preconfigured = false;
  bool match_unchecked = false;  ///< the hardware is not the site file's
  bool clock_external = false;   ///< somebody else keeps the clock: it is neither set nor served
  std::vector<std::string> in_effect;  ///< one line each, for the log

  /// An absent file is no override.
  static Result<Overrides> read(const std::filesystem::path& path);
};

/// Everything a step works on. `root` is "/" on a node and a temporary folder in tests.
struct Context {
  std::filesystem::path root = "/";
  ProcessRunner* runner = nullptr;
  HttpClient* http = nullptr;
  Clock* clock = nullptr;
  Site site;
  SiteNode self;
  BundleFacts bundle;
  Overrides overrides;

  /// The path below the root: at("/etc/hosts").
  std::filesystem::path at(std::string_view absolute) const;
  bool bootstrap() const { return self.name == site.bootstrap; }
  /// Whether the file is there and not empty. kubeadm does not sync what it writes, so a power cut
  /// can leave empty files behind.
  bool has_content(std::string_view absolute) const;
  /// /opt/bedplate/current/bin/<name>, as systemd and we call it.
  static std::string program(std::string_view name);
  /// kubeadm with these words and the PATH on which it finds the payload's programs.
  static Command kubeadm(std::vector<std::string> arguments);
  /// The kubeconfig this node reads the cluster with.
  std::string kubeconfig() const;
  /// Runs kubectl with that kubeconfig and a time limit; returns its output.
  Result<std::string> kubectl(std::vector<std::string> arguments, std::string input = {}) const;
  Result<Json> kubectl_json(std::vector<std::string> arguments) const;
};

using StepList = std::vector<std::unique_ptr<Step>>;

/// A file with exactly this content: satisfied when it has it, else written whole. `then` is run
/// after a change.
std::unique_ptr<Step> file_step(const Context& context, std::string id, std::string describe,
                                const std::string& path, const std::string& content,
                                mode_t mode = 0644);

/// A unit that the agent writes to /run/systemd/system and keeps running. A changed unit, or
/// changed files, restart it: what it was started with is noted in /run (StartNote), because files
/// that are as wanted do not show what a process that runs has read.
struct UnitSpec {
  std::string name;  ///< "containerd.service"
  std::string content;
  /// Absolute path → content of the files it reads.
  std::map<std::string, std::string> files;
  /// True once it answers; asked after each start, for at most `patience`.
  std::function<bool()> answers;
  std::chrono::seconds patience{120};
};
/// What a unit was last started with: a digest in /run/bedplate/units, written after each start and
/// gone with the machine's. A start that is cut off before the note is done again.
class StartNote {
 public:
  StartNote(const Context& context, const std::string& unit)
      : path_(context.at("/run/bedplate/units/" + unit)) {}
  /// Whether the unit was started with these contents, path → content.
  bool says(const std::map<std::string, std::string>& files) const;
  Result<void> write(const std::map<std::string, std::string>& files) const;

 private:
  std::filesystem::path path_;
};

std::unique_ptr<Step> unit_step(const Context& context, std::string id, std::string describe,
                                UnitSpec spec);

/// The steps of this node, in their order. The context must outlive them.
StepList host_steps(const Context& context);
/// Last of all: a node that comes this far has started well.
std::unique_ptr<Step> boot_note_step(const Context& context);
/// After kubelet was started by kubeadm with what lies on the disk now: the step "kubelet" need not
/// start it once more.
Result<void> note_kubelet_start(const Context& context);
StepList runtime_steps(const Context& context);
StepList control_plane_steps(const Context& context);
StepList worker_steps(const Context& context);
StepList network_steps(const Context& context);

}  // namespace bedplate::agent

#include "node-agent/context.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/file.hpp"
#include "core/yaml.hpp"

namespace bedplate::agent {
namespace {

constexpr std::chrono::minutes kubectl_limit{2};
constexpr std::chrono::minutes kubeadm_limit{30};

Json patch_of(const YamlNode& node, std::string_view what, std::vector<std::string>& lines) {
  if (!node.present()) return Json::object();
  auto patch = parse_json(node.to_json_text(), what).value_or(Json::object());
  lines.push_back(fmt::format("{}: {}", what, dump_text(patch)));
  return patch;
}

Result<void> write_if_changed(const std::filesystem::path& path, const std::string& content,
                              mode_t mode) {
  const auto present = read_file(path);
  if (present && *present == content) return {};
  BP_CHECK(make_directories(path.parent_path()));
  return write_file_atomic(path, content, mode);
}

class UnitStep final : public Step {
 public:
  UnitStep(const Context& context, std::string id, std::string describe, UnitSpec spec)
      : context_(context),
        id_(std::move(id)),
        describe_(std::move(describe)),
        spec_(std::move(spec)) {}

  std::string id() const override { return id_; }
  std::string describe() const override { return describe_; }

  Result<ProbeResult> probe() override {
    if (read_file(unit_path()).value_or("") != spec_.content) {
      return ProbeResult::missing("the unit is not written");
    }
    for (const auto& [path, content] : spec_.files) {
      if (read_file(context_.at(path)).value_or("") != content) {
        return ProbeResult::missing(path + " differs");
      }
    }
    if (!note().says(started_with())) {
      return ProbeResult::missing("started with another configuration");
    }
    BP_TRY(const auto state, context_.runner->run(command({"is-active", spec_.name})));
    if (state.status != 0) return ProbeResult::missing("not running");
    if (spec_.answers && !spec_.answers()) return ProbeResult::missing("not answering");
    return ProbeResult::satisfied();
  }

  Result<void> apply() override {
    for (const auto& [path, content] : spec_.files) {
      BP_CHECK(write_if_changed(context_.at(path), content, 0644));
    }
    BP_CHECK(write_if_changed(unit_path(), spec_.content, 0644));
    BP_CHECK(context_.runner->check(command({"daemon-reload"})));
    BP_CHECK(context_.runner->check(command({"restart", spec_.name})));
    BP_CHECK(note().write(started_with()));
    if (!spec_.answers) return {};
    const auto end = context_.clock->monotonic() + spec_.patience;
    while (!spec_.answers()) {
      if (context_.clock->monotonic() > end) {
        return fail(ErrorKind::timeout,
                    fmt::format("{} runs but did not answer within {} s", spec_.name,
                                spec_.patience.count()),
                    fmt::format("journalctl -u {}", spec_.name));
      }
      context_.clock->sleep(std::chrono::milliseconds(250));
    }
    return {};
  }

 private:
  StartNote note() const { return {context_, spec_.name}; }
  std::map<std::string, std::string> started_with() const {
    auto out = spec_.files;
    out[unit_path().string()] = spec_.content;
    return out;
  }
  std::filesystem::path unit_path() const {
    return context_.at("/run/systemd/system/" + spec_.name);
  }
  static Command command(std::vector<std::string> words) {
    Command out;
    out.argv = {"systemctl"};
    out.argv.insert(out.argv.end(), words.begin(), words.end());
    return out;
  }

  const Context& context_;
  std::string id_;
  std::string describe_;
  UnitSpec spec_;
};

}  // namespace

Result<std::string> BundleFacts::tag_of(std::string_view repository) const {
  for (const auto& image : images) {
    if (image.size() > repository.size() + 1 && image.starts_with(repository) &&
        image[repository.size()] == ':') {
      return image.substr(repository.size() + 1);
    }
  }
  return fail(ErrorKind::not_found, fmt::format("the bundle has no image {}", repository),
              "make the bundle again with the images that kubeadm wants");
}

Result<Overrides> Overrides::read(const std::filesystem::path& path) {
  Overrides out;
  std::error_code code;
  if (!std::filesystem::exists(path, code)) return out;
  BP_TRY(const auto root, YamlNode::read(path));
  root.expect_map({"kubelet", "kubeProxy", "containerd", "kubeadm", "network", "match", "clock"});
  out.kubelet = patch_of(root["kubelet"], "kubelet", out.in_effect);
  out.kube_proxy = patch_of(root["kubeProxy"], "kubeProxy", out.in_effect);
  const auto containerd = root["containerd"];
  if (containerd.present()) {
    containerd.expect_map({"systemdCgroup", "extra"});
    out.systemd_cgroup = containerd["systemdCgroup"].boolean(true);
    out.containerd_extra = containerd["extra"].string(false);
    out.in_effect.push_back("containerd: " + containerd.to_json_text());
  }
  if (root["kubeadm"].present()) {
    root["kubeadm"].expect_map({"ignorePreflightErrors"});
    out.ignore_preflight_errors = root["kubeadm"]["ignorePreflightErrors"].strings();
    out.in_effect.push_back("kubeadm: " + root["kubeadm"].to_json_text());
  }
  out.network_preconfigured = root["network"].choice({"preconfigured"}, false) == "preconfigured";
  if (out.network_preconfigured) out.in_effect.emplace_back("network: preconfigured");
  out.match_unchecked = root["match"].choice({"unchecked"}, false) == "unchecked";
  if (out.match_unchecked) out.in_effect.emplace_back("match: unchecked");
  out.clock_external = root["clock"].choice({"external"}, false) == "external";
  if (out.clock_external) out.in_effect.emplace_back("clock: external");
  BP_CHECK(report_findings(root.findings()));
  return out;
}

std::filesystem::path Context::at(std::string_view absolute) const {
  return root / std::filesystem::path(absolute).relative_path();
}

std::string Context::program(std::string_view name) {
  return fmt::format("/opt/bedplate/current/bin/{}", name);
}

bool Context::has_content(std::string_view absolute) const {
  std::error_code code;
  return std::filesystem::file_size(at(absolute), code) > 0 && !code;
}

Command Context::kubeadm(std::vector<std::string> arguments) {
  Command out;
  out.argv = {program("kubeadm")};
  out.argv.insert(out.argv.end(), arguments.begin(), arguments.end());
  out.environment["PATH"] = "/opt/bedplate/current/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  out.timeout = kubeadm_limit;
  return out;
}

std::string Context::kubeconfig() const {
  return self.role == Role::control_plane ? "/etc/kubernetes/admin.conf"
                                          : "/etc/kubernetes/kubelet.conf";
}

Result<std::string> Context::kubectl(std::vector<std::string> arguments, std::string input) const {
  Command command;
  command.argv = {program("kubectl"), "--kubeconfig", at(kubeconfig()).string(),
                  "--request-timeout=60s"};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.input = std::move(input);
  command.timeout = kubectl_limit;
  return runner->check(command);
}

Result<Json> Context::kubectl_json(std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"-o", "json"});
  BP_TRY(const auto text, kubectl(std::move(arguments)));
  return parse_json(text, "kubectl's answer");
}

namespace {

std::string digest_of(const std::map<std::string, std::string>& files) {
  std::string all;
  for (const auto& [path, content] : files) {
    all += fmt::format("{} {}\n", path, Digest::of(content).hex());
  }
  return Digest::of(all).hex() + "\n";
}

}  // namespace

bool StartNote::says(const std::map<std::string, std::string>& files) const {
  return read_file(path_).value_or("") == digest_of(files);
}

Result<void> StartNote::write(const std::map<std::string, std::string>& files) const {
  BP_CHECK(make_directories(path_.parent_path()));
  return write_file_atomic(path_, digest_of(files));
}

std::unique_ptr<Step> file_step(const Context& context, std::string id, std::string describe,
                                const std::string& path, const std::string& content, mode_t mode) {
  const auto full = context.at(path);
  return make_step(
      std::move(id), std::move(describe),
      [full, content]() -> Result<ProbeResult> {
        const auto present = read_file(full);
        if (present && *present == content) return ProbeResult::satisfied();
        return ProbeResult::missing();
      },
      [full, content, mode] { return write_if_changed(full, content, mode); });
}

std::unique_ptr<Step> unit_step(const Context& context, std::string id, std::string describe,
                                UnitSpec spec) {
  return std::make_unique<UnitStep>(context, std::move(id), std::move(describe), std::move(spec));
}

}  // namespace bedplate::agent

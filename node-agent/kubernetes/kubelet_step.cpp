// kubelet runs, with the configuration that lies on the disk.

#include "core/file.hpp"
#include "node-agent/context.hpp"

namespace bedplate::agent {

std::unique_ptr<Step> make_kubelet_step(const Context& context);

namespace {

constexpr std::string_view kubelet_unit = "kubelet.service";

/// What kubelet reads when it starts: its unit, and what kubeadm wrote for it.
std::map<std::string, std::string> kubelet_files(const Context& context) {
  std::map<std::string, std::string> out;
  for (const auto* path : {"/run/systemd/system/kubelet.service", "/var/lib/kubelet/config.yaml",
                           "/var/lib/kubelet/kubeadm-flags.env"}) {
    out[path] = read_file(context.at(path)).value_or("");
  }
  return out;
}

}  // namespace

std::unique_ptr<Step> make_kubelet_step(const Context& context) {
  return make_step(
      "kubelet", "run kubelet",
      [&context]() -> Result<ProbeResult> {
        BP_TRY(const auto state, context.runner->check({"systemctl", "show", "-P", "ActiveState",
                                                        "kubelet.service"}));
        if (state != "active\n") return ProbeResult::missing(state);
        if (!StartNote(context, std::string(kubelet_unit)).says(kubelet_files(context))) {
          return ProbeResult::missing("started with another configuration");
        }
        return ProbeResult::satisfied();
      },
      [&context]() -> Result<void> {
        // Read before the start: a change in between is then seen as one.
        const auto files = kubelet_files(context);
        BP_CHECK(context.runner->check({"systemctl", "daemon-reload"}));
        BP_CHECK(context.runner->check({"systemctl", "restart", "kubelet.service"}));
        return StartNote(context, std::string(kubelet_unit)).write(files);
      });
}

Result<void> note_kubelet_start(const Context& context) {
  return StartNote(context, std::string(kubelet_unit)).write(kubelet_files(context));
}

}  // namespace bedplate::agent

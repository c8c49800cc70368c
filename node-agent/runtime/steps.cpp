// What runs containers: the node payload, the bundle registry, containerd, the balancer.

#include <algorithm>
#include <array>
#include <set>
#include <system_error>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "core/file.hpp"
#include "node-agent/context.hpp"
#include "node-agent/runtime/render.hpp"

namespace bedplate::agent {
namespace {

constexpr std::string_view payload_artifact = "node-payload";
constexpr std::string_view cni_folder = "/opt/cni/bin";

/// Written last into the payload's folder: which artifact is complete there.
std::filesystem::path marker_of(const Context& context) {
  return context.at("/opt/bedplate/" + context.bundle.payload_version + "/complete");
}

Result<ProbeResult> probe_payload(const Context& context) {
  std::error_code code;
  const auto current = std::filesystem::read_symlink(context.at("/opt/bedplate/current"), code);
  if (code || current != context.bundle.payload_version) return ProbeResult::missing();
  if (read_file(marker_of(context)).value_or("") != context.bundle.payload_digest) {
    return ProbeResult::missing("not complete");
  }
  for (const auto* plugin : {"bridge", "host-local", "loopback", "portmap"}) {
    if (!std::filesystem::exists(context.at(fmt::format("{}/{}", cni_folder, plugin)), code)) {
      return ProbeResult::missing(fmt::format("CNI plugin {} is missing", plugin));
    }
  }
  return ProbeResult::satisfied(context.bundle.payload_version);
}

Result<void> copy_cni_plugins(const Context& context) {
  BP_CHECK(make_directories(context.at(cni_folder)));
  const auto from = context.at("/opt/bedplate/" + context.bundle.payload_version + "/cni");
  std::error_code code;
  for (std::filesystem::directory_iterator it(from, code), end; !code && it != end;
       it.increment(code)) {
    BP_TRY(const auto content, read_file(it->path()));
    BP_CHECK(write_file_atomic(context.at(cni_folder) / it->path().filename(), content, 0755));
  }
  if (code) return fail(system_error(code.value(), "cannot read " + from.string()));
  return {};
}

Result<void> apply_payload(const Context& context) {
  BP_TRY(const auto reader,
         bundle::Reader::open(context.bundle.path, context.site.trust.bundle_keys));
  const auto folder = context.at("/opt/bedplate/" + context.bundle.payload_version);
  BP_CHECK(reader.extract(payload_artifact, folder, nullptr));
  BP_CHECK(copy_cni_plugins(context));
  const auto link = context.at("/opt/bedplate/current");
  const auto next = context.at("/opt/bedplate/current.new");
  std::error_code code;
  std::filesystem::remove(next, code);
  std::filesystem::create_symlink(context.bundle.payload_version, next, code);
  if (!code) std::filesystem::rename(next, link, code);
  if (code) return fail(system_error(code.value(), "cannot set " + link.string()));
  return write_file_atomic(marker_of(context), context.bundle.payload_digest);
}

bool accepts_connections(const std::filesystem::path& socket_path) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto text = socket_path.string();
  if (text.size() >= sizeof address.sun_path) return false;
  std::copy(text.begin(), text.end(), address.sun_path);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool answers_http(const Context& context, const std::string& url) {
  HttpRequest request;
  request.url = url;
  request.connect_timeout = std::chrono::seconds(2);
  request.stall_timeout = std::chrono::seconds(5);
  const auto response = context.http->send(request);
  return response && response->status == 200;
}

std::map<std::string, std::string> containerd_files(const Context& context,
                                                    const std::string& pause) {
  std::map<std::string, std::string> files{
      {"/etc/containerd/config.toml",
       render_containerd(context.overrides, "registry.k8s.io/pause:" + pause)},
      {"/etc/containerd/certs.d/_default/hosts.toml", render_mirror()}};
  for (const auto& image : context.bundle.images) {
    const auto registry = image.substr(0, image.find('/'));
    files[fmt::format("/etc/containerd/certs.d/{}/hosts.toml", registry)] = render_mirror();
  }
  return files;
}

}  // namespace

StepList runtime_steps(const Context& context) {
  StepList steps;
  steps.push_back(make_step(
      "payload", fmt::format("unpack the node payload {}", context.bundle.payload_version),
      [&context] { return probe_payload(context); },
      [&context] { return apply_payload(context); }));
  steps.push_back(unit_step(context, "bundle-registry", "serve the bundle to this node",
                            {"bedplate-registry.service", render_registry_unit(), {}, [&context] {
                               return answers_http(context,
                                                   fmt::format("http://{}/v2/", registry_address));
                             }}));
  const auto pause = context.bundle.tag_of("registry.k8s.io/pause").value_or("3.10.2");
  steps.push_back(
      unit_step(context, "containerd", "run containerd",
                {"containerd.service", render_containerd_unit(), containerd_files(context, pause),
                 [&context] { return accepts_connections(context.at(containerd_socket)); }}));
  steps.push_back(unit_step(context, "balancer", "balance the API's name to the control planes",
                            {"bedplate-balancer.service",
                             render_balancer_unit(),
                             {{"/run/bedplate/haproxy.cfg", render_balancer(context.site)}},
                             {}}));
  steps.push_back(file_step(context, "kubelet-unit", "describe kubelet to systemd",
                            "/run/systemd/system/kubelet.service", render_kubelet_unit(context)));
  return steps;
}

}  // namespace bedplate::agent

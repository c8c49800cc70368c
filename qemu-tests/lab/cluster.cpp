#include "qemu-tests/lab/cluster.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/json.hpp"

namespace bedplate::lab {
namespace {

NodeView read_node(const Json& item) {
  NodeView node;
  node.name = item.at("metadata").at("name").get<std::string>();
  const auto& status = item.at("status");
  for (const auto& condition : status.value("conditions", Json::array())) {
    if (condition.at("type") == "Ready") node.ready = condition.at("status") == "True";
  }
  for (const auto& address : status.value("addresses", Json::array())) {
    if (address.at("type") == "InternalIP") node.address = address.at("address").get<std::string>();
  }
  const auto info = status.value("nodeInfo", Json::object());
  node.boot_id = json_string_or(info, "bootID", "");
  node.kubelet = json_string_or(info, "kubeletVersion", "");
  node.runtime = json_string_or(info, "containerRuntimeVersion", "");
  for (const auto& image : status.value("images", Json::array())) {
    for (const auto& name : image.value("names", Json::array())) {
      const auto text = name.get<std::string>();
      const auto at = text.find('@');
      if (at != std::string::npos) node.images[text.substr(at + 1)] = text.substr(0, at);
    }
  }
  return node;
}

PodView read_pod(const Json& item) {
  PodView pod;
  const auto& meta = item.at("metadata");
  pod.space = json_string_or(meta, "namespace", "");
  pod.name = json_string_or(meta, "name", "");
  for (const auto& owner : meta.value("ownerReferences", Json::array())) {
    if (owner.at("kind") == "Job") pod.job = owner.at("name").get<std::string>();
  }
  pod.node = json_string_or(item.value("spec", Json::object()), "nodeName", "");
  const auto& status = item.at("status");
  pod.phase = json_string_or(status, "phase", "");
  for (const auto& container : status.value("containerStatuses", Json::array())) {
    ++pod.containers;
    pod.ready += container.value("ready", false) ? 1 : 0;
    pod.restarts += container.value("restartCount", 0);
  }
  return pod;
}

template <class T>
Result<std::vector<T>> read_items(std::string_view text, T (*read)(const Json&)) {
  BP_TRY(const auto json, parse_json(text, "kubectl's answer"));
  std::vector<T> out;
  try {
    for (const auto& item : json.at("items")) out.push_back(read(item));
  } catch (const Json::exception& error) {
    return fail(ErrorKind::invalid, fmt::format("kubectl's answer: {}", error.what()));
  }
  return out;
}

/// Runs on the node that is named, whatever it is tainted with.
Json placement(std::string_view node) {
  return {{"nodeSelector", {{"kubernetes.io/hostname", node}}},
          {"tolerations", Json::array({{{"operator", "Exists"}}})},
          {"terminationGracePeriodSeconds", 1}};
}

Json pod_spec(std::string_view node, std::string_view image, std::string_view script) {
  auto spec = placement(node);
  spec["containers"] = Json::array({{{"name", "main"},
                                     {"image", image},
                                     {"imagePullPolicy", "IfNotPresent"},
                                     {"command", {"/bin/sh", "-c", script}}}});
  return spec;
}

Json object(std::string_view version, std::string_view kind, std::string_view name) {
  return {{"apiVersion", version},
          {"kind", kind},
          {"metadata", {{"name", name}, {"namespace", kCheckNamespace}}}};
}

}  // namespace

Result<std::vector<NodeView>> parse_nodes(std::string_view json) {
  return read_items<NodeView>(json, read_node);
}

Result<std::vector<PodView>> parse_pods(std::string_view json) {
  return read_items<PodView>(json, read_pod);
}

bool is_well(const PodView& pod, const std::vector<PodView>& all) {
  if (pod.phase == "Running") return pod.ready == pod.containers;
  if (pod.phase != "Failed") return pod.phase == "Succeeded";
  return !pod.job.empty() && std::ranges::any_of(all, [&](const PodView& other) {
    return other.space == pod.space && other.job == pod.job && other.phase == "Succeeded";
  });
}

std::vector<std::string> foreign_images(const std::vector<NodeView>& nodes,
                                        const std::set<std::string>& allowed) {
  std::vector<std::string> out;
  for (const auto& node : nodes) {
    for (const auto& [digest, name] : node.images) {
      if (!allowed.contains(digest))
        out.push_back(fmt::format("{}: {}@{}", node.name, name, digest));
    }
  }
  return out;
}

std::string server_manifest(std::string_view image, std::string_view server,
                            std::string_view page) {
  const Json labels{{"app", "web"}};
  auto deployment = object("apps/v1", "Deployment", "web");
  const auto script = fmt::format(
      "mkdir -p /tmp/www && echo '{}' > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www",
      page);
  auto spec = pod_spec(server, image, script);
  spec["containers"][0]["ports"] = Json::array({{{"containerPort", 8080}}});
  spec["containers"][0]["readinessProbe"] = {{"httpGet", {{"path", "/"}, {"port", 8080}}}};
  deployment["spec"] = {{"replicas", 1},
                        {"selector", {{"matchLabels", labels}}},
                        {"template", {{"metadata", {{"labels", labels}}}, {"spec", spec}}}};
  auto service = object("v1", "Service", "web");
  service["spec"] = {{"selector", labels},
                     {"ports", Json::array({{{"port", 80}, {"targetPort", 8080}}})}};
  const Json space{
      {"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", kCheckNamespace}}}};
  return Json{
      {"apiVersion", "v1"}, {"kind", "List"}, {"items", Json::array({space, deployment, service})}}
      .dump(2);
}

std::string client_manifest(std::string_view image, std::string_view client, std::string_view job) {
  // BusyBox's nslookup ignores search domains, so the full name is put together from the first one.
  // Debian's static wget crashes with -T.
  constexpr std::string_view kScript =
      "domain=$(awk '/^search/ {print $2}' /etc/resolv.conf) && name=web.$domain && "
      "echo \"name: $name\" && nslookup \"$name\" && timeout 20 wget -q -O - \"http://$name/\"";
  auto out = object("batch/v1", "Job", job);
  auto spec = pod_spec(client, image, kScript);
  spec["restartPolicy"] = "Never";
  out["spec"] = {{"backoffLimit", 10}, {"template", {{"spec", spec}}}};
  return out.dump(2);
}

}  // namespace bedplate::lab

#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace bedplate::lab {

/// A node as the cluster itself tells it (`kubectl get nodes -o json`).
struct NodeView {
  std::string name;
  bool ready = false;
  std::string boot_id;  ///< tells a node that is back from one that was not gone yet
  std::string kubelet;
  std::string runtime;
  std::string address;
  std::map<std::string, std::string> images;  ///< digest → a name it has, of what containerd holds
};

/// ErrorKind::invalid for anything that is no node list.
Result<std::vector<NodeView>> parse_nodes(std::string_view json);

struct PodView {
  std::string space;
  std::string name;
  std::string node;
  std::string phase;
  std::string job;  ///< that made it; empty for other pods
  int containers = 0;
  int ready = 0;
  int restarts = 0;
};
Result<std::vector<PodView>> parse_pods(std::string_view json);

/// Runs with every container ready, or did what it had to. A job's pod that failed is well once
/// another one of the same job has succeeded: its node may have lost power, or the service was not
/// there yet.
bool is_well(const PodView& pod, const std::vector<PodView>& all);

/// "node-2: docker.io/library/x@sha256:…" for each image on a node whose digest is not in
/// `allowed`.
std::vector<std::string> foreign_images(const std::vector<NodeView>& nodes,
                                        const std::set<std::string>& allowed);

/// The service that a rehearsal tries: a web server on `server` behind a Service, in a namespace of
/// its own. The page it serves is `page`.
std::string server_manifest(std::string_view image, std::string_view server, std::string_view page);
/// A job on `client` that asks the cluster's DNS for the service's full name and fetches its page.
std::string client_manifest(std::string_view image, std::string_view client, std::string_view job);

inline constexpr std::string_view kCheckNamespace = "rehearsal";

}  // namespace bedplate::lab

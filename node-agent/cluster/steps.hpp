#pragma once

#include <map>
#include <memory>
#include <string>

#include "node-agent/cluster/node_api.hpp"
#include "node-agent/context.hpp"

namespace bedplate::agent {

inline constexpr std::string_view node_api_folder = "/var/lib/bedplate/pki/node-api";
inline constexpr std::uint16_t node_api_port = 7445;

/// Serves the node API from this process; `holder` keeps it alive. On control planes only.
std::unique_ptr<Step> node_api_step(const Context& context,
                                    std::map<std::string, std::string> enrolment,
                                    std::unique_ptr<NodeApi>& holder);

/// Enrols at the bootstrap node and joins the cluster as a worker.
std::unique_ptr<Step> join_step(const Context& context, std::string secret);

}  // namespace bedplate::agent

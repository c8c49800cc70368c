#include "qemu-tests/lab/network_plan.hpp"

#include "core/json.hpp"

namespace bedplate::lab {
namespace {

Json prefixes(const std::vector<Ipv4Prefix>& list) {
  auto out = Json::array();
  for (const auto& prefix : list) out.push_back(prefix.str());
  return out;
}

Result<std::vector<Ipv4Prefix>> read_prefixes(const Json& list) {
  std::vector<Ipv4Prefix> out;
  for (const auto& entry : list) {
    BP_TRY(auto prefix, Ipv4Prefix::parse(entry.get<std::string>()));
    out.push_back(prefix);
  }
  return out;
}

Result<Mac> read_mac(const Json& value) {
  const auto mac = parse_mac(value.get<std::string>());
  if (!mac) return fail(ErrorKind::invalid, "not a MAC address: " + value.dump());
  return *mac;
}

Result<Members> read_members(const Json& json) {
  Members members;
  for (const auto& entry : json.at("macs")) {
    BP_TRY(auto mac, read_mac(entry));
    members.macs.insert(mac);
  }
  for (const auto& entry : json.at("addresses")) {
    BP_TRY(auto address, Ipv4::parse(entry.get<std::string>()));
    members.addresses.insert(address);
  }
  BP_TRY(members.cluster_networks, read_prefixes(json.at("clusterNetworks")));
  BP_TRY(members.subnets, read_prefixes(json.at("subnets")));
  return members;
}

Result<NetworkPlan> read_plan(const Json& json) {
  NetworkPlan plan;
  BP_TRY(plan.members, read_members(json.at("members")));
  for (const auto& port : json.at("ports")) {
    plan.ports.push_back(
        {port.at("name").get<std::string>(), port.at("socket").get<std::string>()});
  }
  BP_TRY(plan.workstation_mac, read_mac(json.at("workstation").at("mac")));
  BP_TRY(plan.workstation_address,
         Ipv4Prefix::parse(json.at("workstation").at("address").get<std::string>()));
  plan.statistics = json.at("statistics").get<std::string>();
  if (json.contains("capture")) plan.capture = json.at("capture").get<std::string>();
  return plan;
}

}  // namespace

std::string network_plan_to_json(const NetworkPlan& plan) {
  Json json;
  auto& members = json["members"];
  members["macs"] = Json::array();
  for (const auto& mac : plan.members.macs) members["macs"].push_back(to_string(mac));
  members["addresses"] = Json::array();
  for (const auto& address : plan.members.addresses) members["addresses"].push_back(address.str());
  members["clusterNetworks"] = prefixes(plan.members.cluster_networks);
  members["subnets"] = prefixes(plan.members.subnets);
  json["ports"] = Json::array();
  for (const auto& port : plan.ports) {
    json["ports"].push_back({{"name", port.name}, {"socket", port.socket.string()}});
  }
  json["workstation"] = {{"mac", to_string(plan.workstation_mac)},
                         {"address", plan.workstation_address.str()}};
  json["statistics"] = plan.statistics.string();
  if (plan.capture) json["capture"] = plan.capture->string();
  return json.dump(2);
}

Result<NetworkPlan> network_plan_from_json(std::string_view text) {
  BP_TRY(const auto json, parse_json(text, "network plan"));
  try {
    return read_plan(json);
  } catch (const Json::exception& error) {
    return fail(ErrorKind::invalid, error.what());
  }
}

std::string statistics_to_json(const SwitchStatistics& statistics) {
  Json json{{"frames", statistics.frames},
            {"elsewhere", statistics.elsewhere},
            {"kinds", Json::object()},
            {"ports", Json::array()}};
  for (const auto& [kind, count] : statistics.elsewhere_kinds) json["kinds"][kind] = count;
  for (const auto& port : statistics.ports) {
    json["ports"].push_back({{"name", port.name},
                             {"connected", port.connected},
                             {"framesIn", port.frames_in},
                             {"framesOut", port.frames_out},
                             {"bytesIn", port.bytes_in},
                             {"bytesOut", port.bytes_out},
                             {"dropped", port.dropped}});
  }
  return json.dump();
}

}  // namespace bedplate::lab

#include "qemu-tests/lab/network.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/json.hpp"
#include "qemu-tests/lab/network_plan.hpp"

namespace bedplate::lab {
namespace {

Ipv4Prefix free_address(const Site& site) {
  const auto& first = site.nodes.front().address;
  std::set<Ipv4> taken;
  for (const auto& node : site.nodes) {
    taken.insert(node.address.address);
    if (node.gateway) taken.insert(*node.gateway);
    taken.insert(node.dns.begin(), node.dns.end());
  }
  for (std::uint32_t n = 2;; ++n) {
    const auto candidate = first.nth(n);
    if (!taken.contains(candidate)) return {candidate, first.length};
  }
}

}  // namespace

Mac station_of(const Site& site, std::size_t node) {
  if (const auto& mac = site.nodes[node].match.mac) {
    if (const auto parsed = parse_mac(*mac)) return *parsed;
  }
  return {0x52, 0x54, 0x00, 0xBD, 0x00, static_cast<std::uint8_t>(node + 1)};
}

NetworkPlan plan_network(const Site& site, const std::filesystem::path& sockets,
                         const std::filesystem::path& folder, bool capture) {
  NetworkPlan plan;
  plan.workstation_mac = {0x52, 0x54, 0x00, 0xBD, 0xFF, 0x01};
  plan.workstation_address = free_address(site);
  plan.members.macs.insert(plan.workstation_mac);
  plan.members.addresses.insert(plan.workstation_address.address);
  plan.members.cluster_networks = {site.pod_network, site.service_network};
  for (std::size_t i = 0; i < site.nodes.size(); ++i) {
    const auto& node = site.nodes[i];
    plan.members.macs.insert(station_of(site, i));
    plan.members.addresses.insert(node.address.address);
    plan.members.subnets.push_back(node.address);
    plan.ports.push_back({node.name, sockets / fmt::format("{}.sock", i + 1)});
  }
  plan.statistics = folder / "network.json";
  if (capture) plan.capture = folder / "network.pcap";
  return plan;
}

Result<Network> Network::start(const NetworkPlan& plan, const std::filesystem::path& folder,
                               bool outlives_us) {
  const auto file = folder / "network-plan.json";
  BP_CHECK(write_file_atomic(file, network_plan_to_json(plan)));
  ::unlink(plan.statistics.c_str());
  std::error_code ignored;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto log = folder / "network.log";
  ChildOptions options;
  options.argv = {self.string(), "lab-network", "--plan", file.string()};
  options.log = log;
  options.outlives_us = outlives_us;
  Network network;
  network.statistics_ = plan.statistics;
  BP_TRY(network.child_, Child::start(options));
  for (int i = 0; i < 500; ++i) {
    if (std::filesystem::exists(plan.statistics, ignored)) return network;
    if (!network.child_.running()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const auto said = read_file(log);
  return fail(ErrorKind::unsupported,
              fmt::format("the lab's network did not start: {}", said ? *said : ""),
              "it needs network namespaces and /dev/net/tun; as an ordinary user also "
              "unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1)");
}

std::vector<std::string> workstation_prefix(pid_t network_process) {
  const auto pid = std::to_string(network_process);
  if (::geteuid() == 0) return {"nsenter", "--target", pid, "--net", "--"};
  return {"nsenter", "--target", pid, "--user", "--preserve-credentials", "--net", "--"};
}

std::vector<std::string> Network::workstation_prefix() const {
  return lab::workstation_prefix(child_.id().pid);
}

Result<NetworkReport> Network::report() const {
  BP_TRY(const auto json, read_json(statistics_));
  NetworkReport report;
  BP_TRY(report.frames, json_uint(json, "frames"));
  BP_TRY(report.elsewhere, json_uint(json, "elsewhere"));
  for (const auto& [kind, count] : json["kinds"].items()) {
    report.elsewhere_kinds[kind] = count.get<std::uint64_t>();
  }
  return report;
}

}  // namespace bedplate::lab

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/site.hpp"
#include "qemu-tests/lab/child.hpp"
#include "qemu-tests/lab/frame.hpp"

namespace bedplate::lab {

/// The lab's network: a switch with a socket for each machine, and the operator's workstation,
/// which is a network namespace with one interface on that switch and no other way out.
struct NetworkPlan {
  struct Port {
    std::string name;
    std::filesystem::path socket;
  };
  Members members;  ///< the workstation's own station and address included
  std::vector<Port> ports;
  Mac workstation_mac{};
  Ipv4Prefix workstation_address;
  std::filesystem::path statistics;              ///< JSON, renewed every half second
  std::optional<std::filesystem::path> capture;  ///< pcap of everything
};

/// The station of a node: what the site file matches it by, else one made from its place in the
/// file.
Mac station_of(const Site& site, std::size_t node);

/// Sockets go to `sockets` (a short path: sockaddr_un holds 107 bytes), the rest to `folder`. The
/// workstation gets the first address of the first node's subnet, from .2 on, that nobody has.
NetworkPlan plan_network(const Site& site, const std::filesystem::path& sockets,
                         const std::filesystem::path& folder, bool capture);

/// Runs the network in this process until SIGTERM or SIGINT: makes the namespace (a user namespace
/// first unless root), its tap device and address, then switches. Hidden subcommand of the
/// executable; `plan` is the file that Network::start wrote.
Result<int> run_network_process(const std::filesystem::path& plan);

struct NetworkReport {
  std::uint64_t frames = 0;
  std::uint64_t elsewhere = 0;
  std::map<std::string, std::uint64_t> elsewhere_kinds;
};

/// The process that runs the network, from outside.
class Network {
 public:
  /// Returns when the sockets can be connected to.
  static Result<Network> start(const NetworkPlan& plan, const std::filesystem::path& folder,
                               bool outlives_us);
  /// Words to put before a command to run it on the operator's workstation.
  std::vector<std::string> workstation_prefix() const;
  Result<NetworkReport> report() const;
  bool running() { return child_.running(); }
  const ProcessId& id() const { return child_.id(); }
  void release() { child_.release(); }

 private:
  Child child_;
  std::filesystem::path statistics_;
};

/// As Network::workstation_prefix, for a process that was left running.
std::vector<std::string> workstation_prefix(pid_t network_process);

}  // namespace bedplate::lab

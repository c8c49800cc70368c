#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/file.hpp"
#include "core/result.hpp"
#include "qemu-tests/lab/frame.hpp"

namespace bedplate::lab {

/// Which station was last heard on which port.
class ForwardingTable {
 public:
  void learn(const Mac& source, std::size_t port) { ports_[source] = port; }
  std::optional<std::size_t> find(const Mac& destination) const;
  /// Drops all that was learned on a port (its cable was pulled).
  void forget(std::size_t port);

 private:
  std::map<Mac, std::size_t> ports_;
};

struct PortStatistics {
  std::string name;
  bool connected = false;
  std::uint64_t frames_in = 0;
  std::uint64_t frames_out = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t dropped = 0;  ///< the other side did not read fast enough
};

struct SwitchStatistics {
  std::uint64_t frames = 0;
  std::uint64_t elsewhere = 0;  ///< see for_elsewhere()
  std::map<std::string, std::uint64_t>
      elsewhere_kinds;  ///< describe() → count, the first 100 kinds
  std::vector<PortStatistics> ports;
};

/// A learning Ethernet switch without an uplink: it connects its ports and nothing else, so that a
/// frame for elsewhere has nowhere to go, and it counts those.
///
/// A stream port listens on a unix socket for one QEMU at a time (`-netdev stream`: each frame has
/// a 4-byte big-endian length before it) and takes the next connection when that one ends. One
/// thread does everything; no member may be called from another one while run() runs.
class Switch {
 public:
  explicit Switch(Members members);
  Switch(const Switch&) = delete;
  Switch& operator=(const Switch&) = delete;
  ~Switch();

  /// Adds a stream port; an old socket file at `path` is replaced.
  Result<void> add_stream_port(std::string name, const std::filesystem::path& path);
  /// Adds a port that is a tap device (one read or write is one frame).
  Result<void> add_tap_port(std::string name, UniqueFd tap);
  /// Records every frame (pcap with microseconds, LINKTYPE_ETHERNET).
  Result<void> capture_to(const std::filesystem::path& path);

  /// Forwards until `stop` says true, which is asked, as is `tick`, about twice a second.
  Result<void> run(const std::function<bool()>& stop,
                   const std::function<void(const SwitchStatistics&)>& tick);

  SwitchStatistics statistics() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bedplate::lab

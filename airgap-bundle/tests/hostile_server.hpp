#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/file.hpp"

namespace bedplate::bundle_test {

/// A request as it came, up to the end of its headers.
struct HostileRequest {
  std::string method;
  std::string path;  ///< with its query
  std::string head;  ///< everything, to look for headers in
  /// The header's value, or nothing. `name` as curl writes it.
  std::string header(std::string_view name) const;
  /// First byte that a Range asks for; 0 without one.
  std::uint64_t range_start() const;
};

/// The other end of a connection, for a script that says whatever it likes.
class HostilePeer {
 public:
  HostilePeer(int fd, std::atomic<std::uint64_t>& sent) : fd_(fd), sent_(sent) {}
  /// Raw bytes. False when the client has gone.
  bool send(std::string_view bytes);
  /// A whole answer with its length.
  bool answer(std::string_view status, std::string_view body, std::string_view headers = "");
  /// Keeps the connection open and says nothing until the client hangs up.
  void wait_for_hangup();

 private:
  int fd_;
  std::atomic<std::uint64_t>& sent_;
};

/// An HTTP server on the loopback address that answers each request by a script, one request for
/// each connection. Scripts run in threads of their own. Ends with the object, whatever its clients
/// do.
class HostileServer {
 public:
  using Script = std::function<void(const HostileRequest&, HostilePeer&)>;
  explicit HostileServer(Script script);
  HostileServer(const HostileServer&) = delete;
  HostileServer& operator=(const HostileServer&) = delete;
  ~HostileServer();

  std::uint16_t port() const { return port_; }
  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
  std::vector<HostileRequest> requests() const;
  /// Bytes that clients' sockets took.
  std::uint64_t sent() const { return sent_; }

 private:
  void accept_all();
  void serve(int fd);

  Script script_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::atomic<std::uint64_t> sent_{0};
  mutable std::mutex mutex_;
  std::vector<HostileRequest> requests_;
  std::list<UniqueFd> peers_;  ///< open until the end, so that no number is used twice
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace bedplate::bundle_test

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "core/file.hpp"
#include "core/net.hpp"
#include "core/result.hpp"

namespace bedplate::agent {

/// A certificate and its key, both PEM.
struct TlsIdentity {
  std::string certificate_pem;
  std::string private_key_pem;
};

/// One TLS 1.3 connection (RFC 8446), blocking, with a limit on how long a read or write may wait.
class TlsStream {
 public:
  /// Connects without knowing the peer: whoever uses the stream must prove the channel by its
  /// binding() before anything that matters goes over it. ErrorKind::network when nobody answers.
  static Result<TlsStream> connect(Ipv4 address, std::uint16_t port,
                                   std::chrono::milliseconds patience);

  TlsStream(TlsStream&&) noexcept;
  TlsStream& operator=(TlsStream&&) noexcept;
  ~TlsStream();

  /// At least one byte, at most `limit`; an empty string when the peer has closed.
  Result<std::string> read_some(std::size_t limit);
  Result<void> write(std::string_view data);
  /// 32 bytes that both ends of this channel know and no other channel has: the TLS exporter with
  /// the label "EXPORTER-Channel-Binding" (RFC 9266).
  Result<std::string> binding() const;

 private:
  friend class TlsServer;
  struct Impl;
  explicit TlsStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Accepts connections and gives each to `handler` in a thread of its own, at most 32 at a time
/// (further ones wait in the kernel's queue). A connection is ended when it is `longest` old,
/// whatever it does: somebody who sends a byte now and then must not keep others out. What the
/// handler throws ends its connection and nothing else. Stops, and waits for its threads, when
/// destroyed.
class TlsServer {
 public:
  using Handler = std::function<void(TlsStream&)>;
  /// More than the two requests of an exchange need, on a slow machine too.
  static constexpr std::chrono::milliseconds longest_connection{60'000};
  /// Port 0 takes a free one. ErrorKind::io when the address cannot be bound.
  static Result<std::unique_ptr<TlsServer>> start(
      Ipv4 address, std::uint16_t port, const TlsIdentity& identity, Handler handler,
      std::chrono::milliseconds longest = longest_connection);
  ~TlsServer();
  std::uint16_t port() const { return port_; }

 private:
  TlsServer() = default;
  void accept_loop();
  void handle(int fd);
  void serve(int fd);
  void end_overdue();

  struct Context;
  std::shared_ptr<Context> context_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  Handler handler_;
  std::chrono::milliseconds longest_{longest_connection};
  std::mutex open_mutex_;
  std::map<int, std::chrono::steady_clock::time_point> open_;  ///< socket → when it must be over
  std::atomic<bool> stop_{false};
  std::atomic<int> active_{0};
  std::thread acceptor_;
};

}  // namespace bedplate::agent

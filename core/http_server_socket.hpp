#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

#include "core/file.hpp"
#include "core/http_server.hpp"
#include "core/result.hpp"

namespace bedplate {

using TlsContext = std::shared_ptr<SSL_CTX>;

/// A context for TLS 1.2 and later. ErrorKind::invalid: no certificate or key, or not a pair.
Result<TlsContext> make_tls_context(const ServerTls& tls);

/// A client's connection, with TLS or without. Never blocks.
class ServerSocket {
 public:
  enum class Outcome { progress, blocked, closed };

  /// `context` may be empty: no TLS. The socket must be non-blocking.
  ServerSocket(UniqueFd fd, const TlsContext& context);

  int fd() const { return fd_.get(); }
  bool tls() const { return ssl_ != nullptr; }
  /// Whether what blocked waits to write, whatever was wanted of it.
  bool blocked_on_write() const { return blocked_on_write_; }

  Outcome receive(std::span<char> into, std::size_t& got);
  /// Both texts one behind the other; `more`: something will follow at once.
  Outcome send(std::string_view head, std::string_view body, bool more, std::size_t& sent);
  Outcome send_file(int file, std::uint64_t offset, std::uint64_t length, std::size_t& sent);
  /// Says that nothing more will be sent.
  void end_sending();

  /// Bytes that were sent and have not arrived; 0 where the kernel does not say.
  std::uint64_t unacknowledged() const;

  /// "192.0.2.1:40000", of the other side.
  std::string remote() const;

 private:
  Outcome outcome(ssize_t n, std::size_t& count);
  Outcome tls_outcome(int result);
  Outcome tls_write(std::span<const std::byte> data, std::size_t& sent);

  UniqueFd fd_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
  bool blocked_on_write_ = false;
  bool broken_ = false;
};

}  // namespace bedplate

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/file.hpp"
#include "core/net.hpp"
#include "core/result.hpp"

namespace bedplate {

/// A request, as views into the connection's buffer: valid while the handler runs.
struct ServerRequest {
  std::string_view method;
  std::string_view target;  ///< path as sent, without the query
  std::string_view path;    ///< percent-decoded, without the query
  std::string_view query;   ///< as sent, without the question mark
  std::vector<std::pair<std::string_view, std::string_view>> headers;  ///< names in lower case

  /// First header of that name (lower case), or nothing.
  std::string_view header(std::string_view name) const;
  /// Value of a query parameter, percent-decoded; empty when absent.
  std::string parameter(std::string_view name) const;
};

struct ServerResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  /// What `lines`, `shared_body` and `file` belong to: held until the last byte has been sent.
  std::shared_ptr<const void> owner;
  /// More header fields, each "Name: value\r\n".
  std::string_view lines;
  /// Instead of `body`, without a copy.
  std::string_view shared_body;
  /// Instead of a body: a part of a file, sent by sendfile(2) unless TLS is spoken.
  int file = -1;
  std::uint64_t file_offset = 0;
  std::uint64_t file_length = 0;
  /// What was asked for, as the observer shall call it; a literal.
  std::string_view kind = "other";
};

/// A response that has been sent, or was given up.
struct ServerRecord {
  std::string_view remote;  ///< "192.0.2.1:40000"
  std::string_view method;
  std::string_view target;  ///< path as sent, without the query
  std::string_view user_agent;
  std::string_view kind;
  int status = 0;
  std::uint64_t bytes = 0;  ///< of the body
  std::chrono::microseconds duration{};
  bool complete = false;  ///< false: the client went away, or stood still for too long
};

/// What a server proves itself with: PEM, the certificate with its chain.
struct ServerTls {
  std::string certificate_pem;
  std::string private_key_pem;
};

struct ServerOptions {
  unsigned most_connections = 4096;
  unsigned threads = 0;  ///< 0: one for each processor, at most 8
  /// From the first byte of a request to the end of its header; of a TLS handshake, too.
  std::chrono::milliseconds header_timeout{10'000};
  /// Between requests. When three quarters of the connections are in use, this and header_timeout
  /// are one second at most: who does nothing makes room.
  std::chrono::milliseconds idle_timeout{60'000};
  /// Without being able to send a byte.
  std::chrono::milliseconds stall_timeout{60'000};
  /// Bytes per second of an answer that takes longer than header_timeout, without what still waits
  /// in the socket. Who takes less makes room, too, or a few bytes a minute would hold a place.
  std::uint64_t least_rate_when_crowded = 1024;
  /// With it, TLS 1.2 and later is spoken and nothing else.
  std::optional<ServerTls> tls;
  /// Called from the server's threads after each response; must not block.
  std::function<void(const ServerRecord&)> on_done;
};

struct ServerStatistics {
  std::uint64_t open = 0;       ///< connections now
  std::uint64_t accepted = 0;   ///< since the start
  std::uint64_t refused = 0;    ///< closed at once: there were too many
  std::uint64_t timed_out = 0;  ///< given up because nothing happened
  std::uint64_t bytes = 0;      ///< sent, headers included, before encryption
};

/// A small HTTP/1.1 server (RFC 9112) for read-only content: GET, HEAD and refusals. One epoll loop
/// for each core; a slow reader costs its socket buffer and a few KiB. Bounds: the
/// connections and times of its options, 16 KiB and 100 fields of request header, no request
/// bodies over 64 KiB (they are dropped).
class HttpServer {
 public:
  using Handler = std::function<ServerResponse(const ServerRequest&)>;
  /// Port 0 takes a free one. ErrorKind::io when the address cannot be bound; invalid: the
  /// certificate or key is none, or they do not belong together. The handler is called from several
  /// threads.
  static Result<std::unique_ptr<HttpServer>> start(Ipv4 address, std::uint16_t port,
                                                   Handler handler, ServerOptions options = {});
  /// On stream sockets that listen already (sd_listen_fds(3)).
  static Result<std::unique_ptr<HttpServer>> start(std::vector<UniqueFd> listeners, Handler handler,
                                                   ServerOptions options = {});
  /// Ends all connections at once.
  virtual ~HttpServer() = default;
  /// Of the first listener; 0 when it is no internet socket.
  virtual std::uint16_t port() const = 0;
  virtual ServerStatistics statistics() const = 0;
  /// For the connections to come; a server that was started without TLS stays without it. An error
  /// leaves everything as it was.
  virtual Result<void> set_tls(const ServerTls& tls) = 0;
};

/// Raises how many files this process may have open (RLIMIT_NOFILE) to `wanted` if it is allowed
/// to. Returns how many it may now.
std::uint64_t raise_open_files(std::uint64_t wanted);

}  // namespace bedplate

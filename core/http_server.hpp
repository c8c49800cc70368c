#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/net.hpp"
#include "core/result.hpp"

namespace bedplate {

struct ServerRequest {
  std::string method;
  std::string path;                                          ///< percent-decoded, without the query
  std::string query;                                         ///< as sent, without the question mark
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case

  /// First header of that name (lower case), or nothing.
  std::string_view header(std::string_view name) const;
  /// Value of a query parameter, percent-decoded; empty when absent.
  std::string parameter(std::string_view name) const;
};

struct ServerResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  /// Instead of `body`: a part of a file that stays open as long as the server, sent by
  /// sendfile(2).
  int file = -1;
  std::uint64_t file_offset = 0;
  std::uint64_t file_length = 0;
};

/// A small HTTP/1.1 server (RFC 9112) for read-only content: GET, HEAD and refusals. One epoll loop
/// for each core; a slow reader costs its socket buffer and nothing else. Bounds: 1,024
/// connections, 16 KiB of request header, no request bodies over 64 KiB (they are dropped), 60 s
/// without progress.
class HttpServer {
 public:
  using Handler = std::function<ServerResponse(const ServerRequest&)>;
  /// Port 0 takes a free one. ErrorKind::io when the address cannot be bound. The handler is called
  /// from several threads.
  static Result<std::unique_ptr<HttpServer>> start(Ipv4 address, std::uint16_t port,
                                                   Handler handler);
  virtual ~HttpServer() = default;
  virtual std::uint16_t port() const = 0;
};

}  // namespace bedplate

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace bedplate {

struct TlsSettings {
  std::string ca_pem;           ///< trust only this; empty: the system's
  std::string certificate_pem;  ///< client certificate
  std::string private_key_pem;
  /// Accept any server certificate. Only for channels that are proved otherwise (enrolment).
  bool insecure_channel = false;
};

/// Part of a file that is open and stays so.
struct FilePart {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  ///< bytes
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case, last one wins
  std::string body;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  /// Instead of `body`: read as it is sent, never as a whole in memory. A file that ends too early
  /// is ErrorKind::corrupt, and the server sees a transfer that broke off.
  std::optional<FilePart> body_file;
  /// Called with the size of each piece of `body_file` before it is sent; it may take its time.
  std::function<void(std::uint64_t bytes)> on_send;
  TlsSettings tls;
  std::chrono::milliseconds connect_timeout{10'000};
  /// Without a byte for this long the transfer is given up (ErrorKind::network).
  std::chrono::milliseconds stall_timeout{60'000};
  /// After this long it is given up even if bytes still come (ErrorKind::network); 0: never.
  std::chrono::milliseconds whole_timeout{0};
  std::uint64_t response_limit = 64ULL << 20;  ///< bytes kept in memory without on_body
  /// Streams the body of a 2xx answer instead of keeping it; an error aborts the transfer.
  std::function<Result<void>(std::span<const std::byte>)> on_body;
  /// Called before the first byte goes to on_body, with status and headers of that answer; an error
  /// aborts the transfer. Not called when the body is empty.
  std::function<Result<void>(const HttpResponse& head)> on_head;
};

/// The longest that a server is waited for because it asks for it.
inline constexpr std::chrono::milliseconds longest_retry_after{120'000};
/// What Retry-After asks for, up to longest_retry_after. RFC 9110, 10.2.3, in its form of seconds;
/// nothing for a date, which is too rare to be worth a parser.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view field);

/// The seam for HTTP. Redirects are followed up to 5 times; Authorization and client certificate
/// are never shown to another host. A status of 400 and more is a response, not an error.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  virtual Result<HttpResponse> send(const HttpRequest& request) = 0;
};

/// libcurl, connections kept between requests. One object may be used by one thread at a time.
std::unique_ptr<HttpClient> make_http_client();

}  // namespace bedplate

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/http_server.hpp"

namespace bedplate {

/// Reads one request after the other; its memory is used again, so that a request costs none.
class RequestParser {
 public:
  /// `head` begins with the request line and ends behind the line end of the last field. Field
  /// names are put into lower case where they stand. The status to refuse it with (RFC 9112): 400
  /// for what is no request, 431 for too many fields; 0 when it was understood.
  int parse(std::span<char> head);
  const ServerRequest& request() const { return request_; }
  /// Bytes of body behind the head, as the request says.
  std::uint64_t body_size() const { return body_size_; }
  /// Whether the connection cannot go on behind this request: the client wants no more, speaks
  /// HTTP/1.0, or sends a body whose end is not known or that it holds back.
  bool last() const { return last_; }

 private:
  bool request_line(std::string_view line);
  int fields(std::span<char> text);
  bool framing(std::string_view name, std::string_view value);

  ServerRequest request_;
  std::string decoded_;
  std::uint64_t body_size_ = 0;
  bool last_ = false;
  bool sized_ = false;
};

}  // namespace bedplate

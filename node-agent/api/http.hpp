#pragma once

#include <string>
#include <string_view>

#include "core/json.hpp"
#include "core/result.hpp"
#include "node-agent/api/tls.hpp"

namespace bedplate::agent {

/// The node API speaks HTTP/1.1 (RFC 9112) with JSON bodies over one kept connection, because the
/// proofs of an exchange are bound to its channel. Only what that needs is here: Content-Length,
/// no chunks, headers up to 16 KiB, bodies up to 1 MiB.
struct ApiRequest {
  std::string method;
  std::string target;
  std::string body;
};

struct ApiResponse {
  int status = 200;
  Json body;
};

/// The next request; an empty method when the peer has closed. ErrorKind::invalid for anything that
/// is not such a request.
Result<ApiRequest> read_request(TlsStream& stream);
Result<void> write_response(TlsStream& stream, const ApiResponse& response);

/// Sends one request and reads its answer. A refusal (status 400 and more) becomes the error that
/// the other side sent.
Result<Json> call(TlsStream& stream, std::string_view target, const Json& body);

/// The answer that carries an error to the other side: {"error": {kind, error, while, hint}}.
ApiResponse refusal(const Error& error);

}  // namespace bedplate::agent

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "airgap-bundle/oci/descriptor.hpp"
#include "airgap-bundle/oci/reference.hpp"
#include "airgap-bundle/registry/credentials.hpp"
#include "core/clock.hpp"
#include "core/http_client.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// What a registry asks for: Basic (RFC 7617), or a bearer token of distribution's token
/// authentication (RFC 6750).
struct Challenge {
  bool basic = false;
  std::string realm;
  std::string service;
  std::string scope;
};
/// From a WWW-Authenticate header; ErrorKind::unsupported for other schemes.
Result<Challenge> parse_challenge(std::string_view header);

struct ClientOptions {
  bool plain_http = false;
  std::optional<Credential> credential;  ///< nobody's: asked without an account
  /// To wait with before a request is repeated; without one nothing is repeated.
  Clock* clock = nullptr;
};

/// Reads one repository of a registry (OCI distribution-spec 1.1, pull). Who it is, is said only
/// when the registry asks, and again when a token has run out. A registry that is busy or away
/// (429, 502 to 504, no connection) is asked again up to four times, after 1, 2, 4 and 8 seconds or
/// as long as it says in Retry-After, up to two minutes. Content is not compared with digests here.
class Client {
 public:
  struct Manifest {
    std::string media_type;
    std::string content;
  };
  using Sink = std::function<Result<void>(std::span<const std::byte>)>;

  /// `http` must outlive the client.
  Client(HttpClient& http, oci::Reference repository, ClientOptions options);

  /// `reference`: a tag or a digest.
  Result<Manifest> manifest(const std::string& reference);
  /// Feeds the blob's bytes in order. A connection that breaks off is taken up again where it was,
  /// up to four times.
  Result<void> blob(const oci::Descriptor& blob, const Sink& sink);

 private:
  Result<HttpResponse> send(HttpRequest request);
  Result<HttpResponse> send_patiently(const HttpRequest& request);
  Result<HttpResponse> ask_for_token(const Challenge& challenge);
  bool knows_ranges(const std::string& url, std::uint64_t at);
  Result<void> authorize(const std::string& challenge);
  Error refusal(const HttpResponse& response, const std::string& what) const;

  HttpClient& http_;
  oci::Reference repository_;
  ClientOptions options_;
  std::string base_;           ///< scheme://host/v2/repository
  std::string authorization_;  ///< the header's value; never logged
};

}  // namespace bedplate::registry

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "airgap-bundle/oci/descriptor.hpp"
#include "airgap-bundle/oci/reference.hpp"
#include "core/http_client.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

/// A bearer challenge (RFC 6750, distribution's token authentication).
struct Challenge {
  std::string realm;
  std::string service;
  std::string scope;
};
/// From a WWW-Authenticate header; ErrorKind::unsupported for other schemes than Bearer.
Result<Challenge> parse_challenge(std::string_view header);

/// Reads one repository of a registry (OCI distribution-spec 1.1, pull), as someone without an
/// account: a bearer token is fetched when the registry asks for one. Content is not compared with
/// digests here.
class Client {
 public:
  struct Manifest {
    std::string media_type;
    std::string content;
  };
  using Sink = std::function<Result<void>(std::span<const std::byte>)>;

  /// `http` must outlive the client.
  Client(HttpClient& http, oci::Reference repository, bool plain_http);

  /// `reference`: a tag or a digest.
  Result<Manifest> manifest(const std::string& reference);
  /// Feeds the blob's bytes in order. A connection that breaks off is taken up again where it was,
  /// up to four times.
  Result<void> blob(const oci::Descriptor& blob, const Sink& sink);

 private:
  Result<HttpResponse> send(HttpRequest request);
  bool knows_ranges(const std::string& url, std::uint64_t at);
  Result<void> authorize(const std::string& challenge);
  Error refusal(const HttpResponse& response, const std::string& what) const;

  HttpClient& http_;
  oci::Reference repository_;
  bool plain_http_;
  std::string base_;   ///< scheme://host/v2/repository
  std::string token_;  ///< never logged
};

}  // namespace bedplate::registry

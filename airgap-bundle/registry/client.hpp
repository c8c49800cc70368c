#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "airgap-bundle/oci/descriptor.hpp"
#include "airgap-bundle/oci/reference.hpp"
#include "airgap-bundle/registry/session.hpp"
#include "core/http_client.hpp"
#include "core/result.hpp"

namespace bedplate::registry {

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
  /// Feeds the blob's bytes in order, beginning with byte `from`. A connection that breaks off is
  /// taken up again where it was, up to four times.
  Result<void> blob(const oci::Descriptor& blob, const Sink& sink, std::uint64_t from = 0);
  /// What refers to a manifest, all pages ("Listing Referrers"); of a registry without that API,
  /// what its tag `sha256-<hex>` lists. Nothing is what most images have.
  Result<std::vector<oci::Descriptor>> referrers(const Digest& subject);
  /// Any other question to the same registry: path and query, "/v2/…". Statuses of 400 and more are
  /// answers; refusal() makes an error of one.
  Result<HttpResponse> get(const std::string& path);
  Error refusal(const HttpResponse& response, const std::string& what) const {
    return session_.refusal(response, what);
  }
  const oci::Reference& repository() const { return session_.repository(); }

 private:
  Result<std::vector<oci::Descriptor>> tagged_referrers(const Digest& subject);
  bool knows_ranges(const std::string& url, std::uint64_t at);

  Session session_;
};

}  // namespace bedplate::registry

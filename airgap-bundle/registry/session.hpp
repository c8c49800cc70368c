#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
  TlsSettings tls = {};
  /// Without a byte for this long a transfer has broken off.
  std::chrono::milliseconds stall_timeout{60'000};
  /// The same for who writes: a registry may look at a large blob, or move it, before it answers.
  std::chrono::milliseconds push_stall_timeout{300'000};
  /// A manifest or token that takes longer is given up, even if a byte comes now and then.
  std::chrono::milliseconds document_timeout{300'000};
};

/// The value of a header of an answer (name in lower case), or nothing.
std::string header_of(const HttpResponse& response, const std::string& name);

/// Authorizations that several sessions with one registry share, by scope. Thread-safe.
class Logins {
 public:
  std::string find(const std::string& scope) const;
  void keep(const std::string& scope, std::string authorization);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> known_;
};

/// Requests to one repository of a registry: logs in when the registry asks for it, and again when
/// a token has run out. Authorization goes to the registry's own host and to no other. One object
/// may be used by one thread at a time.
class Session {
 public:
  enum class Purpose { pull, push };
  static constexpr int most_attempts = 5;

  /// `http`, and `logins` if given, must outlive the session.
  Session(HttpClient& http, oci::Reference repository, ClientOptions options,
          Purpose purpose = Purpose::pull, Logins* logins = nullptr);

  const oci::Reference& repository() const { return repository_; }
  const ClientOptions& options() const { return options_; }
  /// "https://host/v2/repository".
  const std::string& base() const { return base_; }

  /// A registry that is busy or away (429, 502 to 504, no connection; 500 too when it is written
  /// to) is asked again up to four times, after 1, 2, 4 and 8 seconds or as long as it says in
  /// Retry-After, up to two minutes.
  Result<HttpResponse> send(HttpRequest request);
  /// The same without patience: for requests whose repetition needs a look at how far they came.
  Result<HttpResponse> send_once(HttpRequest request);
  /// Whether it makes sense to ask again later.
  bool is_busy(const HttpResponse& response) const;
  /// Waits before attempt `attempt` + 1 (1, 2, …), as long as the answer says if there was one.
  /// False when there was no clock to wait with, or it was tried often enough.
  bool wait(int attempt, const HttpResponse* answer) const;

  /// From now on tokens are for reading that repository of the same registry, too.
  void also_read(const std::string& repository);

  /// The URL that a Location header means: relative to the registry, or absolute; its query is
  /// kept. What began under TLS stays under TLS: ErrorKind::untrusted.
  Result<std::string> locate(const std::string& location) const;

  /// Why an answer is a failure, and what to do.
  Error refusal(const HttpResponse& response, const std::string& what) const;

 private:
  Result<HttpResponse> dispatch(HttpRequest request, bool patient);
  Result<HttpResponse> send_patiently(const HttpRequest& request);
  Result<HttpResponse> ask_for_token(const Challenge& challenge);
  Result<void> authorize(const std::string& challenge);
  std::vector<std::string> scopes(const Challenge& challenge) const;
  bool is_ours(const std::string& url) const;
  std::string login_key() const;

  HttpClient& http_;
  oci::Reference repository_;
  ClientOptions options_;
  Purpose purpose_;
  Logins* logins_;
  std::vector<std::string> read_too_;
  std::string origin_;         ///< scheme://host[:port]
  std::string base_;           ///< scheme://host/v2/repository
  std::string authorization_;  ///< the header's value; never logged
};

}  // namespace bedplate::registry

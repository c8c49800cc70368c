#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/http_client.hpp"
#include "core/json.hpp"
#include "core/result.hpp"

namespace bedplate::harbor {

/// Which Harbor, and as whom.
struct Target {
  std::string url;  ///< "https://harbor.example"; no path
  TlsSettings tls;
  std::string user;  ///< empty: nobody
  std::string password;
};

/// One request to the API.
struct Call {
  std::string method = "GET";
  std::string path;  ///< below /api/v2.0, encoded
  std::vector<std::pair<std::string, std::string>> query = {};
  std::optional<Json> body = std::nullopt;
  /// Part of the path is a project's name. Without saying so, a name of digits would be an id.
  bool by_name = false;
};

struct Answer {
  int status = 0;
  Json body;          ///< null when there is none or it is no JSON
  bool json = false;  ///< the body was JSON
  std::map<std::string, std::string> headers;
  std::string text;  ///< the body as it came; may hold secrets
};

/// Harbor's API v2.0 (api/v2.0/swagger.yaml of goharbor/harbor): Basic authentication, no cookies
/// (a session would ask for a CSRF token), JSON both ways.
///
/// What only asks or replaces is repeated up to four times when Harbor or a proxy before it is busy
/// or away (429, 502 to 504, no connection), after 1, 2, 4 and 8 seconds or as long as Retry-After
/// says, up to two minutes. What creates is repeated after 429 alone: any other failure may have
/// come after the deed.
class Api {
 public:
  /// `http` and `clock` must outlive this.
  Api(HttpClient& http, Target target, Clock& clock);

  /// Any status is an answer. ErrorKind::network and untrusted (TLS) when there was none.
  Result<Answer> send(const Call& call);
  /// Status must be one of `wanted`; else the error that `refusal` makes of it.
  Result<Answer> expect(const Call& call, std::initializer_list<int> wanted);
  /// As expect 200, and the body must be an object. ErrorKind::invalid when it is not, in words
  /// that quote nothing of it.
  Result<Json> object(const Call& call, int wanted = 200);
  /// Every page of a list (Link and X-Total-Count). ErrorKind::invalid when the pages do not add
  /// up to what Harbor said.
  Result<std::vector<Json>> list(Call call);

  /// Not to be shown in any error, even if Harbor sends it back.
  void hide(std::string secret);
  /// What an answer means that was not wanted, with a hint.
  Error refusal(const Call& call, const Answer& answer) const;
  const std::string& url() const { return target_.url; }

 private:
  HttpRequest request_of(const Call& call) const;
  std::string shown(std::string text) const;
  Error malformed(const Call& call, std::string_view what) const;

  HttpClient& http_;
  Target target_;
  Clock& clock_;
  std::vector<std::string> hidden_;
};

/// Percent-encoding of everything but RFC 3986's unreserved characters.
std::string encoded(std::string_view text);

}  // namespace bedplate::harbor

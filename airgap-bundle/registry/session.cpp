#include "airgap-bundle/registry/session.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/json.hpp"
#include "core/text.hpp"

namespace bedplate::registry {
namespace {

constexpr std::chrono::milliseconds first_pause{1000};
/// Of a token's answer.
constexpr std::uint64_t longest_answer = 1ULL << 20;
constexpr std::size_t longest_message = 300;

/// Docker Hub's names and its registry are different hosts.
std::string host_of(const std::string& registry) {
  return registry == "docker.io" ? "registry-1.docker.io" : registry;
}

std::string url_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || c == '/' || c == ':';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

/// The first message of a registry's error document, or nothing.
std::string message_of(const HttpResponse& response) {
  const auto value = parse_json(response.body, "answer");
  if (!value || !value->is_object()) return {};
  const auto errors = value->find("errors");
  if (errors == value->end() || !errors->is_array() || errors->empty()) return {};
  const auto message = json_string_or((*errors)[0], "message", "");
  return message.empty() ? "" : ": " + message.substr(0, longest_message);
}

std::string basic(const Credential& who) {
  return "Basic " + base64_encode(who.user + ":" + who.secret);
}

/// What a URL's authority is compared by: without user and default port, in lower case.
struct Origin {
  std::string scheme;
  std::string host;
  std::string port;
  std::string rest;  ///< path and query
  friend bool operator==(const Origin& a, const Origin& b) {
    return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
  }
};

/// A certificate says who we are, too.
void withhold_certificate(HttpRequest& request) {
  request.tls.certificate_pem.clear();
  request.tls.private_key_pem.clear();
}

Origin split(std::string_view url) {
  Origin out;
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return out;
  out.scheme = lower(url.substr(0, scheme));
  auto authority = url.substr(scheme + 3);
  const auto end = std::min(authority.find_first_of("/?#\\"), authority.size());
  out.rest = authority.substr(end);
  authority = authority.substr(0, end);
  authority = authority.substr(authority.rfind('@') + 1);  // npos + 1 is 0
  const auto colon = authority.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  out.host = lower(has_port ? authority.substr(0, colon) : authority);
  out.port = has_port                ? std::string(authority.substr(colon + 1))
             : out.scheme == "https" ? "443"
                                     : "80";
  return out;
}

}  // namespace

std::string header_of(const HttpResponse& response, const std::string& name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? "" : found->second;
}

std::string Logins::find(const std::string& scope) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(scope);
  return found == known_.end() ? "" : found->second;
}

void Logins::keep(const std::string& scope, std::string authorization) {
  const std::lock_guard lock(mutex_);
  known_[scope] = std::move(authorization);
}

Result<Challenge> parse_challenge(std::string_view header) {
  constexpr std::string_view scheme = "bearer ";
  const auto given = lower(header.substr(0, scheme.size()));
  if (given.starts_with("basic")) return Challenge{true, {}, {}, {}};
  if (given != scheme) {
    return fail(
        ErrorKind::unsupported,
        fmt::format("the registry wants '{}' authentication", header.substr(0, header.find(' '))),
        "copy the image with `skopeo copy` and name the copy with oci: as its source");
  }
  Challenge challenge;
  auto rest = header.substr(scheme.size());
  while (!rest.empty()) {
    while (rest.starts_with(' ') || rest.starts_with(',')) rest.remove_prefix(1);
    const auto equals = rest.find('=');
    if (equals == std::string_view::npos) break;
    const auto key = rest.substr(0, equals);
    rest.remove_prefix(equals + 1);
    std::string_view value;
    if (rest.starts_with('"')) {
      const auto end = rest.find('"', 1);
      if (end == std::string_view::npos) break;
      value = rest.substr(1, end - 1);
      rest.remove_prefix(end + 1);
    } else {
      value = rest.substr(0, rest.find(','));
      rest.remove_prefix(value.size());
    }
    if (key == "realm") challenge.realm = value;
    if (key == "service") challenge.service = value;
    if (key == "scope") challenge.scope = value;
  }
  if (challenge.realm.starts_with("https://") || challenge.realm.starts_with("http://")) {
    return challenge;
  }
  return fail(ErrorKind::invalid, "the registry asks for a token but does not say where to get it");
}

Session::Session(HttpClient& http, oci::Reference repository, ClientOptions options,
                 Purpose purpose, Logins* logins)
    : http_(http),
      repository_(std::move(repository)),
      options_(std::move(options)),
      purpose_(purpose),
      logins_(logins),
      origin_(fmt::format("{}://{}", options_.plain_http ? "http" : "https",
                          host_of(repository_.registry))),
      base_(fmt::format("{}/v2/{}", origin_, repository_.repository)) {
  if (logins_ != nullptr) authorization_ = logins_->find(login_key());
}

std::string Session::login_key() const {
  std::string out = repository_.repository;
  for (const auto& repository : read_too_) out += " " + repository;
  return out;
}

/// A registry that is asked whether something is there asks for the right to read alone, so who
/// writes says what it needs itself.
std::vector<std::string> Session::scopes(const Challenge& challenge) const {
  if (purpose_ == Purpose::pull) {
    return {challenge.scope.empty() ? "repository:" + repository_.repository + ":pull"
                                    : challenge.scope};
  }
  std::vector<std::string> out{"repository:" + repository_.repository + ":pull,push"};
  for (const auto& repository : read_too_) out.push_back("repository:" + repository + ":pull");
  return out;
}

/// distribution's token authentication: GET with Basic, or OAuth 2 with a refresh token.
Result<HttpResponse> Session::ask_for_token(const Challenge& challenge) {
  const auto wanted = scopes(challenge);
  HttpRequest request;
  request.response_limit = longest_answer;
  request.stall_timeout = options_.stall_timeout;
  request.whole_timeout = options_.document_timeout;
  request.tls = options_.tls;
  if (!is_ours(challenge.realm)) withhold_certificate(request);
  const auto& who = options_.credential;
  if (who && !who->identity_token.empty()) {
    request.method = "POST";
    request.url = challenge.realm;
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
    request.body = fmt::format(
        "grant_type=refresh_token&client_id=bedplate&service={}&scope={}&refresh_token={}",
        url_encoded(challenge.service), url_encoded(fmt::format("{}", fmt::join(wanted, " "))),
        url_encoded(who->identity_token));
    return send_patiently(request);
  }
  request.url = challenge.realm;
  for (const auto& scope : wanted) {
    request.url += request.url.find('?') == std::string::npos ? '?' : '&';
    request.url += "scope=" + url_encoded(scope);
  }
  if (!challenge.service.empty()) request.url += "&service=" + url_encoded(challenge.service);
  if (who) request.headers.emplace_back("Authorization", basic(*who));
  return send_patiently(request);
}

Result<void> Session::authorize(const std::string& header) {
  BP_TRY(const auto challenge, parse_challenge(header));
  if (challenge.basic) {
    if (options_.credential) authorization_ = basic(*options_.credential);
  } else {
    if (!options_.plain_http && challenge.realm.starts_with("http://")) {
      return fail(ErrorKind::untrusted, "the registry wants a token to be fetched without TLS");
    }
    BP_TRY(const auto response, ask_for_token(challenge));
    if (response.status != 200) return fail(refusal(response, "a token"));
    BP_TRY(const auto value, parse_json(response.body, "the registry's token"));
    const auto token = json_string_or(value, "token", json_string_or(value, "access_token", ""));
    if (token.empty()) return fail(ErrorKind::invalid, "the registry's answer has no token");
    authorization_ = "Bearer " + token;
  }
  if (logins_ != nullptr) logins_->keep(login_key(), authorization_);
  return {};
}

void Session::also_read(const std::string& repository) {
  if (repository == repository_.repository ||
      std::ranges::find(read_too_, repository) != read_too_.end())
    return;
  read_too_.push_back(repository);
  // The token that is here may be for less: the registry will say so.
  if (logins_ == nullptr) return;
  if (auto known = logins_->find(login_key()); !known.empty()) authorization_ = std::move(known);
}

bool Session::is_ours(const std::string& url) const {
  return split(url) == split(origin_);
}

bool Session::is_busy(const HttpResponse& response) const {
  const auto status = response.status;
  return status == 429 || (status >= 502 && status <= 504) ||
         (status == 500 && purpose_ == Purpose::push);
}

bool Session::wait(int attempt, const HttpResponse* answer) const {
  if (options_.clock == nullptr || attempt >= most_attempts) return false;
  const auto pause = first_pause * (1 << (attempt - 1));
  options_.clock->sleep(answer == nullptr
                            ? pause
                            : parse_retry_after(header_of(*answer, "retry-after")).value_or(pause));
  return true;
}

Result<HttpResponse> Session::send_patiently(const HttpRequest& request) {
  for (int attempt = 1;; ++attempt) {
    auto response = http_.send(request);
    const bool away = !response && response.error().kind == ErrorKind::network;
    const bool busy = response && is_busy(*response);
    // A transfer that broke off is taken up by its caller, who knows how far it was.
    const bool repeatable = busy || (away && !request.on_body);
    if (!repeatable || !wait(attempt, busy ? &*response : nullptr)) return response;
  }
}

Result<HttpResponse> Session::dispatch(HttpRequest request, bool patient) {
  request.tls = options_.tls;
  request.stall_timeout =
      purpose_ == Purpose::push ? options_.push_stall_timeout : options_.stall_timeout;
  const bool ours = is_ours(request.url);
  if (!ours) withhold_certificate(request);
  const auto attempt = [&] {
    auto out = request;
    if (ours && !authorization_.empty()) out.headers.emplace_back("Authorization", authorization_);
    return patient ? send_patiently(out) : http_.send(out);
  };
  BP_TRY(auto response, attempt());
  if (response.status != 401 || !ours) return response;
  // Also when a token was sent: they are short-lived.
  BP_CHECK_DURING("asking the registry for a token",
                  authorize(header_of(response, "www-authenticate")));
  if (authorization_.empty()) return response;
  return attempt();
}

Result<HttpResponse> Session::send(HttpRequest request) {
  return dispatch(std::move(request), true);
}

Result<HttpResponse> Session::send_once(HttpRequest request) {
  return dispatch(std::move(request), false);
}

Result<std::string> Session::locate(const std::string& location) const {
  if (location.empty()) {
    return fail(ErrorKind::invalid, repository_.registry + " does not say where an upload goes");
  }
  if (location.starts_with("//")) return locate(origin_.substr(0, origin_.find("//")) + location);
  if (location.starts_with('/')) return origin_ + location;
  if (location.find("://") == std::string::npos) return base_ + "/blobs/uploads/" + location;
  const auto there = split(location);
  const auto here = split(origin_);
  if (here.scheme != "https" || there.scheme == "https") return location;
  // Behind a proxy that ends TLS a registry may not know that it is reached by TLS.
  if (there.host == here.host) return origin_ + there.rest;
  return fail(
      ErrorKind::untrusted,
      fmt::format("{} wants an upload to go to {} without TLS", repository_.registry, there.host),
      "correct the address that the registry has of itself");
}

Error Session::refusal(const HttpResponse& response, const std::string& what) const {
  const auto name = repository_.registry + "/" + repository_.repository;
  const bool push = purpose_ == Purpose::push;
  if (response.status == 404) {
    auto error = Error(ErrorKind::not_found,
                       fmt::format("{} has no {}{}", name, what, message_of(response)));
    if (!push) return error;
    return std::move(error).with_hint("make the project or repository in the registry first");
  }
  if (response.status == 401 || response.status == 403) {
    if (options_.credential) {
      return Error(ErrorKind::untrusted,
                   fmt::format("{} refuses {} to the account that is logged in", name, what))
          .with_hint(fmt::format("log in again, or ask for the right to {} there",
                                 push ? "push" : "pull"));
    }
    return Error(ErrorKind::untrusted, fmt::format("{} refuses {} without an account", name, what))
        .with_hint(fmt::format("skopeo login {}, or docker login", repository_.registry));
  }
  // Asking again changes nothing when the registry understood and does not want to.
  const bool refused = push && response.status >= 400 && response.status < 500 &&
                       response.status != 408 && response.status != 429;
  return Error(refused ? ErrorKind::conflict : ErrorKind::network,
               fmt::format("{} answered {} for {}{}", name, response.status, what,
                           message_of(response)))
      .with_hint(refused                  ? "see what the registry says about it"
                 : response.status == 429 ? "too many requests: wait a while, then run it again"
                                          : "run the command again");
}

}  // namespace bedplate::registry

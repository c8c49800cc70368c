#include "airgap-bundle/registry/client.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "core/digest.hpp"
#include "core/json.hpp"
#include "core/text.hpp"

namespace bedplate::registry {
namespace {

constexpr int most_attempts = 5;
constexpr std::chrono::milliseconds first_pause{1000};
constexpr std::chrono::milliseconds longest_pause{120'000};
constexpr std::uint64_t longest_manifest = 8ULL << 20;

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

std::string header_of(const HttpResponse& response, const std::string& name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? "" : found->second;
}

/// The first message of a registry's error document, or nothing.
std::string message_of(const HttpResponse& response) {
  const auto value = parse_json(response.body, "answer");
  if (!value || !value->is_object()) return {};
  const auto errors = value->find("errors");
  if (errors == value->end() || !errors->is_array() || errors->empty()) return {};
  return ": " + json_string_or((*errors)[0], "message", "");
}

std::string basic(const Credential& who) {
  return "Basic " + base64_encode(who.user + ":" + who.secret);
}

/// RFC 9110, 10.2.3, in its form of seconds; a date is too rare to be worth a parser.
std::optional<std::chrono::milliseconds> retry_after(const HttpResponse& response) {
  const auto text = header_of(response, "retry-after");
  unsigned seconds = 0;
  const auto* end = text.data() + text.size();
  if (text.empty() || std::from_chars(text.data(), end, seconds).ptr != end) return std::nullopt;
  return std::min(std::chrono::milliseconds(std::chrono::seconds(seconds)), longest_pause);
}

}  // namespace

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

Client::Client(HttpClient& http, oci::Reference repository, ClientOptions options)
    : http_(http),
      repository_(std::move(repository)),
      options_(std::move(options)),
      base_(fmt::format("{}://{}/v2/{}", options_.plain_http ? "http" : "https",
                        host_of(repository_.registry), repository_.repository)) {}

/// distribution's token authentication: GET with Basic, or OAuth 2 with a refresh token.
Result<HttpResponse> Client::ask_for_token(const Challenge& challenge) {
  const auto scope =
      challenge.scope.empty() ? "repository:" + repository_.repository + ":pull" : challenge.scope;
  HttpRequest request;
  request.response_limit = 1 << 20;
  const auto& who = options_.credential;
  if (who && !who->identity_token.empty()) {
    request.method = "POST";
    request.url = challenge.realm;
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
    request.body = fmt::format(
        "grant_type=refresh_token&client_id=bedplate&service={}&scope={}&refresh_token={}",
        url_encoded(challenge.service), url_encoded(scope), url_encoded(who->identity_token));
    return send_patiently(request);
  }
  request.url =
      fmt::format("{}{}scope={}", challenge.realm,
                  challenge.realm.find('?') == std::string::npos ? '?' : '&', url_encoded(scope));
  if (!challenge.service.empty()) request.url += "&service=" + url_encoded(challenge.service);
  if (who) request.headers.emplace_back("Authorization", basic(*who));
  return send_patiently(request);
}

Result<void> Client::authorize(const std::string& header) {
  BP_TRY(const auto challenge, parse_challenge(header));
  if (challenge.basic) {
    if (options_.credential) authorization_ = basic(*options_.credential);
    return {};
  }
  if (!options_.plain_http && challenge.realm.starts_with("http://")) {
    return fail(ErrorKind::untrusted, "the registry wants a token to be fetched without TLS");
  }
  BP_TRY(const auto response, ask_for_token(challenge));
  if (response.status != 200) return fail(refusal(response, "a token"));
  BP_TRY(const auto value, parse_json(response.body, "the registry's token"));
  const auto token = json_string_or(value, "token", json_string_or(value, "access_token", ""));
  if (token.empty()) return fail(ErrorKind::invalid, "the registry's answer has no token");
  authorization_ = "Bearer " + token;
  return {};
}

Result<HttpResponse> Client::send_patiently(const HttpRequest& request) {
  auto pause = first_pause;
  for (int attempt = 1;; ++attempt) {
    auto response = http_.send(request);
    const bool away = !response && response.error().kind == ErrorKind::network;
    const bool busy = response && (response->status == 429 || response->status == 502 ||
                                   response->status == 503 || response->status == 504);
    // A transfer that broke off is taken up by its caller, who knows how far it was.
    const bool repeatable = busy || (away && !request.on_body);
    if (options_.clock == nullptr || !repeatable || attempt == most_attempts) return response;
    options_.clock->sleep(busy ? retry_after(*response).value_or(pause) : pause);
    pause *= 2;
  }
}

Result<HttpResponse> Client::send(HttpRequest request) {
  const auto with_authorization = [&] {
    auto out = request;
    if (!authorization_.empty()) out.headers.emplace_back("Authorization", authorization_);
    return out;
  };
  BP_TRY(auto response, send_patiently(with_authorization()));
  if (response.status != 401) return response;
  // Also when a token was sent: they are short-lived.
  BP_CHECK_DURING("asking the registry for a token",
                  authorize(header_of(response, "www-authenticate")));
  if (authorization_.empty()) return response;
  return send_patiently(with_authorization());
}

Error Client::refusal(const HttpResponse& response, const std::string& what) const {
  const auto name = repository_.registry + "/" + repository_.repository;
  if (response.status == 404) {
    return Error(ErrorKind::not_found,
                 fmt::format("{} has no {}{}", name, what, message_of(response)));
  }
  if (response.status == 401 || response.status == 403) {
    if (options_.credential) {
      return Error(ErrorKind::untrusted,
                   fmt::format("{} refuses {} to the account that is logged in", name, what))
          .with_hint("log in again, or ask for the right to pull there");
    }
    return Error(ErrorKind::untrusted, fmt::format("{} refuses {} without an account", name, what))
        .with_hint(fmt::format("skopeo login {}, or docker login", repository_.registry));
  }
  return Error(ErrorKind::network, fmt::format("{} answered {} for {}{}", name, response.status,
                                               what, message_of(response)))
      .with_hint(response.status == 429 ? "too many requests: wait a while, then run it again"
                                        : "run the command again");
}

Result<Client::Manifest> Client::manifest(const std::string& reference) {
  HttpRequest request;
  request.url = base_ + "/manifests/" + reference;
  for (const auto type : {oci::media::index, oci::media::manifest, oci::media::docker_list,
                          oci::media::docker_manifest}) {
    request.headers.emplace_back("Accept", std::string(type));
  }
  request.response_limit = longest_manifest;
  BP_TRY_DURING(auto response, "asking for " + request.url, send(request));
  if (response.status != 200) return fail(refusal(response, "manifest " + reference));
  auto type = header_of(response, "content-type");
  type.resize(std::min(type.find(';'), type.size()));
  return Manifest{std::move(type), std::move(response.body)};
}

/// Whether the registry can begin in the middle of a blob; one that cannot would start over
/// unasked.
bool Client::knows_ranges(const std::string& url, std::uint64_t at) {
  HttpRequest request;
  request.url = url;
  request.headers.emplace_back("Range", fmt::format("bytes={}-{}", at, at));
  request.response_limit = 1;
  const auto response = send(request);
  return response && response->status == 206;
}

Result<void> Client::blob(const oci::Descriptor& blob, const Sink& sink) {
  const auto url = base_ + "/blobs/" + blob.digest.str();
  std::uint64_t done = 0;
  for (int attempt = 1;; ++attempt) {
    HttpRequest request;
    request.url = url;
    std::uint64_t repeated = done;  // at the beginning of the answer
    if (done > 0 && knows_ranges(url, done)) {
      request.headers.emplace_back("Range", fmt::format("bytes={}-", done));
      repeated = 0;
    }
    bool sink_failed = false;
    request.on_body = [&](std::span<const std::byte> data) -> Result<void> {
      const auto skip = std::min<std::uint64_t>(repeated, data.size());
      repeated -= skip;
      data = data.subspan(static_cast<std::size_t>(skip));
      if (data.empty()) return {};
      done += data.size();
      auto taken = sink(data);
      sink_failed = !taken;
      return taken;
    };
    auto response = send(request);
    if (response && (response->status == 200 || response->status == 206)) return {};
    if (response) return fail(refusal(*response, "blob " + blob.digest.str()));
    const bool may_repeat = !sink_failed && response.error().kind == ErrorKind::network;
    if (!may_repeat || attempt == most_attempts) return fail(std::move(response).error());
    if (options_.clock != nullptr) options_.clock->sleep(first_pause * (1 << (attempt - 1)));
  }
}

}  // namespace bedplate::registry

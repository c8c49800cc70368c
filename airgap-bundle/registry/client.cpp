#include "airgap-bundle/registry/client.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "core/json.hpp"

namespace bedplate::registry {
namespace {

constexpr int most_attempts = 5;
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

}  // namespace

Result<Challenge> parse_challenge(std::string_view header) {
  constexpr std::string_view scheme = "bearer ";
  std::string lower(header.substr(0, scheme.size()));
  for (auto& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (lower != scheme) {
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

Client::Client(HttpClient& http, oci::Reference repository, bool plain_http)
    : http_(http),
      repository_(std::move(repository)),
      plain_http_(plain_http),
      base_(fmt::format("{}://{}/v2/{}", plain_http ? "http" : "https",
                        host_of(repository_.registry), repository_.repository)) {}

Result<void> Client::authorize(const std::string& header) {
  BP_TRY(auto challenge, parse_challenge(header));
  if (!plain_http_ && challenge.realm.starts_with("http://")) {
    return fail(ErrorKind::untrusted, "the registry wants a token to be fetched without TLS");
  }
  if (challenge.scope.empty()) challenge.scope = "repository:" + repository_.repository + ":pull";
  HttpRequest request;
  request.url = fmt::format("{}{}scope={}", challenge.realm,
                            challenge.realm.find('?') == std::string::npos ? '?' : '&',
                            url_encoded(challenge.scope));
  if (!challenge.service.empty()) request.url += "&service=" + url_encoded(challenge.service);
  request.response_limit = 1 << 20;
  BP_TRY(const auto response, http_.send(request));
  if (response.status != 200) return fail(refusal(response, "a token"));
  BP_TRY(const auto value, parse_json(response.body, "the registry's token"));
  token_ = json_string_or(value, "token", json_string_or(value, "access_token", ""));
  if (token_.empty()) return fail(ErrorKind::invalid, "the registry's answer has no token");
  return {};
}

Result<HttpResponse> Client::send(HttpRequest request) {
  const auto with_token = [&] {
    auto out = request;
    if (!token_.empty()) out.headers.emplace_back("Authorization", "Bearer " + token_);
    return out;
  };
  BP_TRY(auto response, http_.send(with_token()));
  if (response.status != 401) return response;
  // Also when a token was sent: they are short-lived.
  BP_CHECK_DURING("asking the registry for a token",
                  authorize(header_of(response, "www-authenticate")));
  return http_.send(with_token());
}

Error Client::refusal(const HttpResponse& response, const std::string& what) const {
  const auto name = repository_.registry + "/" + repository_.repository;
  if (response.status == 404) {
    return Error(ErrorKind::not_found,
                 fmt::format("{} has no {}{}", name, what, message_of(response)));
  }
  if (response.status == 401 || response.status == 403) {
    return Error(ErrorKind::untrusted, fmt::format("{} refuses {} without an account", name, what))
        .with_hint("copy the image with `skopeo copy` and name the copy with oci: as its source");
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
  }
}

}  // namespace bedplate::registry

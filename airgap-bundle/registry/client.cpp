#include "airgap-bundle/registry/client.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "airgap-bundle/oci/media_types.hpp"

namespace bedplate::registry {
namespace {

constexpr std::uint64_t longest_manifest = 8ULL << 20;
/// Of an answer that is no content: a refusal.
constexpr std::uint64_t longest_answer = 1ULL << 20;

}  // namespace

Client::Client(HttpClient& http, oci::Reference repository, ClientOptions options)
    : session_(http, std::move(repository), std::move(options)) {}

Result<Client::Manifest> Client::manifest(const std::string& reference) {
  HttpRequest request;
  request.url = session_.base() + "/manifests/" + reference;
  for (const auto type : {oci::media::index, oci::media::manifest, oci::media::docker_list,
                          oci::media::docker_manifest}) {
    request.headers.emplace_back("Accept", std::string(type));
  }
  request.response_limit = longest_manifest;
  request.whole_timeout = session_.options().document_timeout;
  BP_TRY_DURING(auto response, "asking for " + request.url, session_.send(request));
  if (response.status != 200) return fail(session_.refusal(response, "manifest " + reference));
  auto type = header_of(response, "content-type");
  type.resize(std::min(type.find(';'), type.size()));
  return Manifest{std::move(type), std::move(response.body)};
}

Result<HttpResponse> Client::get(const std::string& path) {
  HttpRequest request;
  request.url = session_.base().substr(0, session_.base().find("/v2/")) + path;
  BP_TRY_DURING(auto response, "asking for " + request.url, session_.send(request));
  return response;
}

/// Whether the registry can begin in the middle of a blob; one that cannot would start over
/// unasked.
bool Client::knows_ranges(const std::string& url, std::uint64_t at) {
  HttpRequest request;
  request.url = url;
  request.headers.emplace_back("Range", fmt::format("bytes={}-{}", at, at));
  request.response_limit = 1;
  request.whole_timeout = session_.options().document_timeout;
  const auto response = session_.send(request);
  return response && response->status == 206;
}

Result<void> Client::blob(const oci::Descriptor& blob, const Sink& sink, std::uint64_t from) {
  const auto url = session_.base() + "/blobs/" + blob.digest.str();
  auto done = from;
  for (int attempt = 1;; ++attempt) {
    HttpRequest request;
    request.url = url;
    request.response_limit = longest_answer;
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
    auto response = session_.send(request);
    if (response && (response->status == 200 || response->status == 206)) return {};
    if (response) return fail(session_.refusal(*response, "blob " + blob.digest.str()));
    const bool may_repeat = !sink_failed && response.error().kind == ErrorKind::network;
    if (!may_repeat || attempt == Session::most_attempts) {
      return fail(std::move(response).error());
    }
    session_.wait(attempt, nullptr);
  }
}

}  // namespace bedplate::registry

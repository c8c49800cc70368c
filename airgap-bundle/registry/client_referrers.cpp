#include <fmt/format.h>

#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/registry/client.hpp"

namespace bedplate::registry {
namespace {

constexpr int most_pages = 100;
constexpr std::uint64_t longest_page = 8ULL << 20;

/// The target of a Link header with rel="next" (RFC 8288) on the same host, or nothing.
std::string next_page(const HttpResponse& response, const std::string& base) {
  const auto found = response.headers.find("link");
  if (found == response.headers.end()) return {};
  const auto& text = found->second;
  const auto open = text.find('<');
  const auto close = text.find('>');
  if (open == std::string::npos || close == std::string::npos || close < open ||
      text.find("next", close) == std::string::npos) {
    return {};
  }
  const auto target = text.substr(open + 1, close - open - 1);
  const auto origin = base.substr(0, base.find('/', base.find("://") + 3));
  if (target.starts_with('/')) return origin + target;
  return target.starts_with(origin + "/") ? target : "";
}

/// Of an API that a registry does not have there are many: only those that say that we may not,
/// that it is busy or that it is broken mean something else.
bool means_absent(int status) {
  return status >= 300 && status < 500 && status != 401 && status != 403 && status != 429;
}

}  // namespace

Result<std::vector<oci::Descriptor>> Client::referrers(const Digest& subject) {
  std::vector<oci::Descriptor> out;
  auto url = session_.base() + "/referrers/" + subject.str();
  for (int page = 0; page < most_pages && !url.empty(); ++page) {
    HttpRequest request;
    request.url = url;
    request.headers.emplace_back("Accept", std::string(oci::media::index));
    request.response_limit = longest_page;
    BP_TRY_DURING(const auto response, "asking for " + url, session_.send(std::move(request)));
    if (means_absent(response.status) || response.status == 501) return tagged_referrers(subject);
    if (response.status != 200) {
      return fail(session_.refusal(response, "list of what refers to " + subject.str())
                      .with_hint("`referrers: none` at the image does without it"));
    }
    auto listed = oci::listed_descriptors(response.body);
    // A page for people instead of a list: the registry does not know the question.
    if (!listed) return tagged_referrers(subject);
    out.insert(out.end(), listed->begin(), listed->end());
    url = next_page(response, session_.base());
  }
  return out;
}

Result<std::vector<oci::Descriptor>> Client::tagged_referrers(const Digest& subject) {
  const auto index = manifest("sha256-" + subject.hex());
  if (index) return oci::listed_descriptors(index->content);
  if (index.error().kind == ErrorKind::not_found) return std::vector<oci::Descriptor>{};
  return fail(index.error());
}

}  // namespace bedplate::registry

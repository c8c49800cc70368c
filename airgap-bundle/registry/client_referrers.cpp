#include <fmt/format.h>

#include "airgap-bundle/oci/manifest.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/registry/client.hpp"

namespace bedplate::registry {
namespace {

constexpr int most_pages = 100;
constexpr std::uint64_t longest_page = 8ULL << 20;

/// The target of a Link header with rel="next" (RFC 8288), as it stands there, or nothing.
std::string next_page(const HttpResponse& response) {
  const auto found = response.headers.find("link");
  if (found == response.headers.end()) return {};
  const auto& text = found->second;
  const auto open = text.find('<');
  const auto close = text.find('>');
  if (open == std::string::npos || close == std::string::npos || close < open ||
      text.find("next", close) == std::string::npos) {
    return {};
  }
  return text.substr(open + 1, close - open - 1);
}

/// RFC 3986, 5.2, as far as registries go. ErrorKind::untrusted for another host.
Result<std::string> resolve(const std::string& target, const std::string& page) {
  const auto origin = page.substr(0, page.find('/', page.find("://") + 3));
  const auto path = page.substr(0, page.find('?'));
  if (target.starts_with('/') && !target.starts_with("//")) return origin + target;
  if (target.starts_with('?')) return path + target;
  const auto scheme = target.find("//");
  if (target.find("://") == std::string::npos && scheme != 0) {
    return path.substr(0, path.rfind('/') + 1) + target;
  }
  // Behind a proxy that ends TLS a registry may not know that it is reached by TLS.
  const auto rest = target.substr(scheme);
  const auto host = origin.substr(origin.find("//"));
  if (rest.starts_with(host + "/")) return origin + rest.substr(host.size());
  return fail(ErrorKind::untrusted,
              fmt::format("{} goes on with its list of referrers on another host", host.substr(2)),
              "correct the address that the registry has of itself; `referrers: none` at the image "
              "does without the list");
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
  for (int page = 0; !url.empty(); ++page) {
    if (page == most_pages) {
      return fail(ErrorKind::unsupported,
                  fmt::format("{} lists more than {} pages of what refers to {}",
                              session_.repository().registry, most_pages, subject.str()),
                  "`referrers: none` at the image does without it");
    }
    HttpRequest request;
    request.url = url;
    request.headers.emplace_back("Accept", std::string(oci::media::index));
    request.response_limit = longest_page;
    BP_TRY_DURING(const auto response, "asking for " + url, session_.send(std::move(request)));
    const bool absent = means_absent(response.status) || response.status == 501;
    if (absent && page == 0) return tagged_referrers(subject);
    if (response.status != 200) {
      return fail(session_.refusal(response, "list of what refers to " + subject.str())
                      .with_hint("`referrers: none` at the image does without it"));
    }
    auto listed = oci::listed_descriptors(response.body);
    // A page for people instead of a list: the registry does not know the question.
    if (!listed && page == 0) return tagged_referrers(subject);
    BP_TRY_DURING(const auto entries, "reading " + url, std::move(listed));
    out.insert(out.end(), entries.begin(), entries.end());
    const auto target = next_page(response);
    if (target.empty()) break;
    BP_TRY(url, resolve(target, url));
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

#include "airgap-bundle/registry/listing.hpp"

#include <fmt/format.h>

#include "core/json.hpp"

namespace bedplate::registry {
namespace {

/// A registry that never stops naming pages would keep us for ever.
constexpr int most_pages = 100'000;
constexpr int page_size = 1000;

/// Path and query of the next page (RFC 8288, rel="next"), or nothing. A host in it is dropped: the
/// pages of a registry are its own.
std::string next_page(const HttpResponse& response) {
  const auto found = response.headers.find("link");
  if (found == response.headers.end()) return {};
  const auto& link = found->second;
  const auto begin = link.find('<');
  const auto end = link.find('>', begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos) return {};
  if (link.find("next", end) == std::string::npos) return {};
  auto target = link.substr(begin + 1, end - begin - 1);
  if (const auto scheme = target.find("://"); scheme != std::string::npos) {
    const auto path = target.find('/', scheme + 3);
    if (path == std::string::npos) return {};
    target = target.substr(path);
  }
  return target.starts_with('/') ? target : std::string();
}

/// Adds the texts of a page's list. `null` is an empty one: some registries write it.
Result<void> take(const HttpResponse& response, std::string_view key,
                  std::vector<std::string>& out) {
  BP_TRY(const auto value, parse_json(response.body, "the registry's answer"));
  const auto found = value.find(key);
  if (!value.is_object() || found == value.end() || !(found->is_array() || found->is_null())) {
    return fail(ErrorKind::invalid, fmt::format("the registry's answer has no list '{}'", key));
  }
  for (const auto& item : *found) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return {};
}

Result<std::vector<std::string>> list(Client& client, const std::string& first,
                                      std::string_view key) {
  std::vector<std::string> out;
  auto page = first;
  for (int i = 0; !page.empty() && i < most_pages; ++i) {
    BP_TRY(const auto response, client.get(page));
    if (response.status == 404) return fail(ErrorKind::not_found, "the registry has no " + page);
    if (response.status != 200) return fail(client.refusal(response, page));
    BP_CHECK(take(response, key, out));
    auto next = next_page(response);
    if (next == page) break;
    page = std::move(next);
  }
  return out;
}

}  // namespace

Result<std::vector<std::string>> list_repositories(Client& client) {
  auto out = list(client, fmt::format("/v2/_catalog?n={}", page_size), "repositories");
  if (out) return out;
  auto error = std::move(out).error();
  if (error.kind == ErrorKind::not_found) {
    return fail(ErrorKind::unsupported, "the registry does not tell what repositories it has",
                "name the bundles that it was filled from with --bundle instead");
  }
  if (error.kind == ErrorKind::untrusted) {
    error.hint = "log in with an account that may list all repositories (Harbor: an administrator)";
  }
  return fail(std::move(error));
}

Result<std::vector<std::string>> list_tags(Client& client) {
  auto out =
      list(client, fmt::format("/v2/{}/tags/list?n={}", client.repository().repository, page_size),
           "tags");
  if (!out && out.error().kind == ErrorKind::not_found) return std::vector<std::string>{};
  return out;
}

}  // namespace bedplate::registry

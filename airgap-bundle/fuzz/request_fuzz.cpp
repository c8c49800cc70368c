#include <algorithm>
#include <string>

#include "airgap-bundle/fuzz/targets.hpp"
#include "core/http_server_request.hpp"

namespace bedplate::fuzz {

void request(std::string_view input) {
  // The parser works in place, and is used for one request after the other.
  static RequestParser parser;
  std::string head(input);
  const auto refused = parser.parse(head);
  require(refused == 0 || refused == 400 || refused == 431, "a refusal has its status");
  if (refused != 0) return;
  const auto& request = parser.request();
  require(!request.method.empty() && request.target.starts_with('/'), "there is what is asked for");
  require(request.path.size() <= request.target.size(), "decoding makes nothing longer");
  require(request.target.find('?') == std::string_view::npos, "the query is not in the path");
  for (const auto& [name, value] : request.headers) {
    require(std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; }),
            "a field's name is in lower case");
    // The first of that name is given, which may be another one.
    require(request.header(name).size() <= input.size(), "its value was said");
  }
  (void)request.parameter("n");
  (void)request.parameter("");
}

}  // namespace bedplate::fuzz

#include "core/http_server_request.hpp"

#include <algorithm>

#include "core/text.hpp"

namespace bedplate {
namespace {

constexpr std::size_t most_fields = 100;

/// tchar of RFC 9110 section 5.6.2, which methods and field names consist of; in lower case.
char token_character(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return c;
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return others.find(c) != std::string_view::npos ? c : '\0';
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// "http://host/path" (RFC 9112 section 3.2.2) as "/path".
std::string_view origin_form(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const auto slash = target.find('/', scheme.size());
    return slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  return target;
}

}  // namespace

bool RequestParser::request_line(std::string_view line) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last <= first) return false;
  const auto version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return false;
  last_ = version == "HTTP/1.0";
  request_.method = line.substr(0, first);
  if (std::ranges::any_of(request_.method, [](char c) { return token_character(c) == '\0'; })) {
    return false;
  }
  const auto target = origin_form(line.substr(first + 1, last - first - 1));
  if (!target.starts_with('/')) return false;
  const auto question = target.find('?');
  request_.target = target.substr(0, question);
  request_.query = question == std::string_view::npos ? "" : target.substr(question + 1);
  request_.path = request_.target;
  if (request_.target.find('%') != std::string_view::npos) {
    decoded_.clear();
    append_percent_decoded(decoded_, request_.target);
    request_.path = decoded_;
  }
  return true;
}

/// What says where the request ends. False when it says nothing that can be relied on.
bool RequestParser::framing(std::string_view name, std::string_view value) {
  if (name == "content-length") {
    const auto size = parse_unsigned(value);
    if (!size || (sized_ && *size != body_size_)) return false;
    body_size_ = *size;
    sized_ = true;
  } else if (name == "transfer-encoding" || name == "expect") {
    last_ = true;
  } else if (name == "connection") {
    last_ = last_ || lower(value).find("close") != std::string::npos;
  }
  return true;
}

int RequestParser::fields(std::span<char> text) {
  while (!text.empty()) {
    const std::string_view rest(text.data(), text.size());
    const auto end = rest.find("\r\n");
    const auto line = text.first(std::min(end, text.size()));
    std::size_t colon = 0;
    for (; colon < line.size() && line[colon] != ':'; ++colon) {
      line[colon] = token_character(line[colon]);
      if (line[colon] == '\0') return 400;
    }
    if (colon == 0 || colon == line.size()) return 400;
    if (request_.headers.size() == most_fields) return 431;
    const auto name = rest.substr(0, colon);
    const auto value = without_blanks(rest.substr(colon + 1, line.size() - colon - 1));
    if (!framing(name, value)) return 400;
    request_.headers.emplace_back(name, value);
    text = text.subspan(std::min(text.size(), line.size() + 2));
  }
  return 0;
}

int RequestParser::parse(std::span<char> head) {
  request_.headers.clear();
  body_size_ = 0;
  sized_ = false;
  last_ = true;
  const std::string_view text(head.data(), head.size());
  const auto line = text.substr(0, text.find("\r\n"));
  if (!request_line(line)) return 400;
  return fields(head.subspan(std::min(head.size(), line.size() + 2)));
}

std::string_view ServerRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::string ServerRequest::parameter(std::string_view name) const {
  std::string_view rest = query;
  std::string out;
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    const auto equals = pair.find('=');
    if (pair.substr(0, equals) == name && equals != std::string_view::npos) {
      append_percent_decoded(out, pair.substr(equals + 1));
      return out;
    }
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
  }
  return out;
}

}  // namespace bedplate

#include "airgap-bundle/harbor/api.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/text.hpp"

namespace bedplate::harbor {
namespace {

constexpr int most_attempts = 5;
constexpr int most_pages = 1000;
constexpr int page_size = 100;  // the most that Harbor gives at a time
constexpr std::string_view base = "/api/v2.0";

bool is_busy(int status) {
  return status == 429 || (status >= 502 && status <= 504);
}

/// PUT replaces and DELETE of what is gone is answered with 404: both may be said twice.
bool may_repeat(const std::string& method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE";
}

std::string header_of(const std::map<std::string, std::string>& headers, const std::string& name) {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

std::chrono::milliseconds pause_before(int attempt,
                                       const std::map<std::string, std::string>* headers) {
  const std::chrono::milliseconds pause = std::chrono::seconds(1 << (attempt - 1));
  if (headers == nullptr) return pause;
  return parse_retry_after(header_of(*headers, "retry-after")).value_or(pause);
}

/// One line of bounded length: what a server says may not write to a terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 300)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  // Valid UTF-8 too: it may be written as JSON.
  const auto quoted = Json(out).dump(-1, ' ', false, Json::error_handler_t::replace);
  return Json::parse(quoted).get<std::string>();
}

/// "CODE: message" of Harbor's {"errors":[{"code","message"}]}; nothing when it is not that.
std::string said_in(const Json& body) {
  if (!body.is_object()) return {};
  const auto errors = body.find("errors");
  if (errors == body.end() || !errors->is_array() || errors->empty()) return {};
  const auto& first = errors->front();
  if (!first.is_object()) return {};
  const auto code = json_string_or(first, "code", "");
  const auto message = json_string_or(first, "message", "");
  return code.empty() || message.empty() ? code + message : code + ": " + message;
}

struct Meaning {
  ErrorKind kind;
  std::string_view hint;
};

Meaning meaning_of(int status) {
  constexpr std::string_view check =
      "`bedplate harbor check` compares this Harbor with what is "
      "expected of one";
  if (status >= 300 && status < 400) {
    return {ErrorKind::invalid,
            "`url` must be the address that Harbor itself gives (external_url)"};
  }
  switch (status) {
    case 401:
      return {ErrorKind::untrusted, "check the user and the password of `admin`"};
    case 403:
      return {ErrorKind::untrusted, "the user of `admin` must be a system administrator of Harbor"};
    case 404:
      return {ErrorKind::not_found,
              "somebody else may be changing this Harbor: apply again; if it "
              "stays, `bedplate harbor check` compares it with what is "
              "expected of one"};
    case 409:
      return {ErrorKind::conflict, "it was made by somebody else just now: apply again"};
    case 412:
      return {ErrorKind::conflict, "something in Harbor still uses it: look at the project there"};
    case 413:
      return {ErrorKind::unsupported,
              "a proxy before Harbor limits the size of requests: raise its limit "
              "(nginx: client_max_body_size)"};
    case 429:
      return {ErrorKind::network,
              "Harbor or a proxy before it limits requests: wait, then apply "
              "again"};
    case 400:
    case 422:
      return {ErrorKind::invalid, "change what the document asks for accordingly"};
    default:
      break;
  }
  if (status >= 500) {
    return {ErrorKind::network, "look at the log of harbor-core, then apply again"};
  }
  return {ErrorKind::invalid, check};
}

}  // namespace

std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

Api::Api(HttpClient& http, Target target, Clock& clock)
    : http_(http), target_(std::move(target)), clock_(clock) {
  hide(target_.password);
}

void Api::hide(std::string secret) {
  if (secret.size() >= 4) hidden_.push_back(std::move(secret));
}

std::string Api::shown(std::string text) const {
  for (const auto& secret : hidden_) {
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
      text.replace(at, secret.size(), "…");
    }
  }
  return printable(text);
}

HttpRequest Api::request_of(const Call& call) const {
  HttpRequest request;
  request.method = call.method;
  request.url = fmt::format("{}{}{}", target_.url, base, call.path);
  char separator = '?';
  for (const auto& [key, value] : call.query) {
    request.url += fmt::format("{}{}={}", separator, key, encoded(value));
    separator = '&';
  }
  request.headers.emplace_back("Accept", "application/json");
  if (!target_.user.empty()) {
    request.headers.emplace_back("Authorization",
                                 "Basic " + base64_encode(target_.user + ":" + target_.password));
  }
  if (call.by_name) request.headers.emplace_back("X-Is-Resource-Name", "true");
  if (call.body) {
    request.headers.emplace_back("Content-Type", "application/json");
    request.body = call.body->dump();
  }
  request.tls = target_.tls;
  request.response_limit = 16ULL << 20;
  return request;
}

Result<Answer> Api::send(const Call& call) {
  const auto request = request_of(call);
  for (int attempt = 1;; ++attempt) {
    auto response = http_.send(request);
    const bool last = attempt == most_attempts;
    if (!response) {
      const bool away = response.error().kind == ErrorKind::network;
      if (last || !away || !may_repeat(call.method)) {
        return fail(std::move(response).error().with_hint(
            "Harbor must be reachable at `url`; apply again then, nothing is done twice"));
      }
      clock_.sleep(pause_before(attempt, nullptr));
      continue;
    }
    const bool repeat =
        response->status == 429 || (is_busy(response->status) && may_repeat(call.method));
    if (repeat && !last) {
      clock_.sleep(pause_before(attempt, &response->headers));
      continue;
    }
    Answer answer;
    answer.status = response->status;
    answer.headers = std::move(response->headers);
    answer.text = std::move(response->body);
    if (auto parsed = parse_json(answer.text, "the answer")) {
      answer.body = std::move(*parsed);
      answer.json = true;
    }
    return answer;
  }
}

Error Api::refusal(const Call& call, const Answer& answer) const {
  auto said = said_in(answer.body);
  const auto type = header_of(answer.headers, "content-type");
  if (said.empty() && !answer.text.empty()) {
    said = answer.json ? "with an error that is not in Harbor's form"
                       : fmt::format("with something that is not Harbor's ({})",
                                     type.empty() ? "of no type" : type);
  }
  if (answer.status >= 300 && answer.status < 400) {
    said = "elsewhere: " + header_of(answer.headers, "location");
  }
  const auto meaning = meaning_of(answer.status);
  return Error(meaning.kind,
               fmt::format("Harbor answered {} to {} {}{}{}", answer.status, call.method, call.path,
                           said.empty() ? "" : ": ", shown(said)))
      .with_hint(std::string(meaning.hint));
}

Result<Answer> Api::expect(const Call& call, std::initializer_list<int> wanted) {
  BP_TRY(auto answer, send(call));
  if (std::ranges::find(wanted, answer.status) != wanted.end()) return answer;
  return fail(refusal(call, answer));
}

Error Api::malformed(const Call& call, std::string_view what) const {
  // Not in the parser's words, which quote what it read: it may be a secret.
  return Error(ErrorKind::invalid, fmt::format("{} {}: {}", call.method, call.path, what))
      .with_hint(
          "something other than Harbor may answer at `url`; `bedplate harbor check` compares "
          "it with what is expected");
}

Result<Json> Api::object(const Call& call, int wanted) {
  BP_TRY(auto answer, expect(call, {wanted}));
  if (!answer.body.is_object()) return fail(malformed(call, "the answer is no JSON object"));
  return std::move(answer.body);
}

Result<std::vector<Json>> Api::list(Call call) {
  std::vector<Json> out;
  const auto query = call.query;
  for (int page = 1; page <= most_pages; ++page) {
    call.query = query;
    call.query.emplace_back("page", std::to_string(page));
    call.query.emplace_back("page_size", std::to_string(page_size));
    BP_TRY(auto answer, expect(call, {200}));
    // An empty list of Harbor's may be null.
    const bool none = answer.json && answer.body.is_null();
    if (!answer.body.is_array() && !none)
      return fail(malformed(call, "the answer is no JSON list"));
    for (auto& item : answer.body) {
      if (!item.is_object()) return fail(malformed(call, "the list holds more than objects"));
      out.push_back(std::move(item));
    }
    const auto total_text = header_of(answer.headers, "x-total-count");
    const auto total = total_text.empty() ? out.size() : parse_unsigned<std::size_t>(total_text);
    if (!total) return fail(malformed(call, "X-Total-Count is no number"));
    const bool next = header_of(answer.headers, "link").find("rel=\"next\"") != std::string::npos;
    if (!next && out.size() >= *total) return out;
    if (answer.body.empty()) {
      return fail(malformed(call, fmt::format("{} of {} entries came; the list may have changed "
                                              "meanwhile",
                                              out.size(), *total)));
    }
  }
  return fail(malformed(call, "the list does not end"));
}

}  // namespace bedplate::harbor

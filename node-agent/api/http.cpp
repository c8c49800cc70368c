#include "node-agent/api/http.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/text.hpp"

namespace bedplate::agent {
namespace {

constexpr std::size_t most_header = 16384;
constexpr std::size_t most_body = std::size_t{1} << 20;

struct Message {
  std::string start_line;
  std::string body;
};

Result<std::size_t> content_length(std::string_view header) {
  const auto text = lower(header);
  constexpr std::string_view name = "\r\ncontent-length:";
  auto at = text.find(name);
  if (at == std::string::npos) return std::size_t{0};
  at += name.size();
  while (at < text.size() && text[at] == ' ') ++at;
  std::size_t length = 0;
  const auto parsed = std::from_chars(text.data() + at, text.data() + text.size(), length);
  if (parsed.ec != std::errc{} || length > most_body) {
    return fail(ErrorKind::invalid, "the message has a wrong Content-Length");
  }
  return length;
}

/// A whole message, or an empty start line when the peer closed before the first byte.
Result<Message> read_message(TlsStream& stream) {
  std::string buffer;
  std::size_t end = std::string::npos;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    if (buffer.size() > most_header) return fail(ErrorKind::invalid, "the header is too long");
    BP_TRY(const auto more, stream.read_some(4096));
    if (more.empty()) {
      if (buffer.empty()) return Message{};
      return fail(ErrorKind::network, "the peer closed in the middle of a message");
    }
    buffer += more;
  }
  BP_TRY(const auto length, content_length(std::string_view(buffer).substr(0, end + 2)));
  Message message{buffer.substr(0, buffer.find("\r\n")), buffer.substr(end + 4)};
  while (message.body.size() < length) {
    BP_TRY(const auto more, stream.read_some(length - message.body.size()));
    if (more.empty()) {
      return fail(ErrorKind::network, "the peer closed in the middle of a message");
    }
    message.body += more;
  }
  if (message.body.size() > length) {
    return fail(ErrorKind::invalid, "bytes follow the message; requests are not pipelined");
  }
  return message;
}

constexpr std::array<std::pair<ErrorKind, int>, 6> statuses{{{ErrorKind::invalid, 400},
                                                             {ErrorKind::untrusted, 403},
                                                             {ErrorKind::not_found, 404},
                                                             {ErrorKind::conflict, 409},
                                                             {ErrorKind::unsupported, 405},
                                                             {ErrorKind::network, 503}}};

int status_of(ErrorKind kind) {
  for (const auto& [known, status] : statuses) {
    if (known == kind) return status;
  }
  return 500;
}

ErrorKind kind_of(int status) {
  for (const auto& [kind, known] : statuses) {
    if (known == status) return kind;
  }
  return ErrorKind::internal;
}

}  // namespace

Result<ApiRequest> read_request(TlsStream& stream) {
  BP_TRY(auto message, read_message(stream));
  if (message.start_line.empty()) return ApiRequest{};
  const auto first = message.start_line.find(' ');
  const auto last = message.start_line.rfind(' ');
  if (first == std::string::npos || last <= first ||
      message.start_line.substr(last + 1) != "HTTP/1.1") {
    return fail(ErrorKind::invalid, "not an HTTP/1.1 request");
  }
  return ApiRequest{message.start_line.substr(0, first),
                    message.start_line.substr(first + 1, last - first - 1),
                    std::move(message.body)};
}

Result<void> write_response(TlsStream& stream, const ApiResponse& response) {
  const auto body = dump_text(response.body);
  return stream.write(
      fmt::format("HTTP/1.1 {} {}\r\nContent-Type: application/json\r\n"
                  "Content-Length: {}\r\n\r\n{}",
                  response.status, response.status < 400 ? "OK" : "Refused", body.size(), body));
}

Result<Json> call(TlsStream& stream, std::string_view target, const Json& body) {
  const auto text = dump_text(body);
  BP_CHECK(
      stream.write(fmt::format("POST {} HTTP/1.1\r\nHost: node-api\r\n"
                               "Content-Type: application/json\r\n"
                               "Content-Length: {}\r\n\r\n{}",
                               target, text.size(), text)));
  BP_TRY(const auto message, read_message(stream));
  int status = 0;
  if (message.start_line.starts_with("HTTP/1.1 ") && message.start_line.size() >= 12) {
    const auto* start = message.start_line.data() + 9;
    std::from_chars(start, start + 3, status);
  }
  if (status == 0) return fail(ErrorKind::network, "the peer did not answer in HTTP/1.1");
  BP_TRY(auto answer, parse_json(message.body, "answer of the node API"));
  if (status < 400) return answer;
  const auto error = answer.find("error");
  if (error == answer.end()) {
    return fail(kind_of(status), fmt::format("the node API refused with status {}", status));
  }
  return fail(Error(kind_of(status), json_string_or(*error, "error", "refused"))
                  .with_hint(json_string_or(*error, "hint", "")));
}

ApiResponse refusal(const Error& error) {
  return {status_of(error.kind), {{"error", error.to_json()}}};
}

}  // namespace bedplate::agent

#include "core/error.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/text.hpp"

namespace bedplate {
namespace {

struct KindInfo {
  ErrorKind kind;
  std::string_view name;
  int code;
};

constexpr std::array<KindInfo, 15> kinds{{
    {ErrorKind::internal, "internal", 1},
    {ErrorKind::usage, "usage", 2},
    {ErrorKind::invalid, "invalid", 3},
    {ErrorKind::not_found, "not-found", 4},
    {ErrorKind::io, "io", 5},
    {ErrorKind::network, "network", 6},
    {ErrorKind::untrusted, "untrusted", 7},
    {ErrorKind::corrupt, "corrupt", 8},
    {ErrorKind::conflict, "conflict", 9},
    {ErrorKind::ambiguous, "ambiguous", 10},
    {ErrorKind::unsupported, "unsupported", 11},
    {ErrorKind::dependency, "dependency", 12},
    {ErrorKind::process, "process", 13},
    {ErrorKind::timeout, "timeout", 14},
    {ErrorKind::cancelled, "cancelled", 130},
}};

const KindInfo& info_of(ErrorKind kind) {
  for (const auto& entry : kinds) {
    if (entry.kind == kind) return entry;
  }
  return kinds.front();
}

/// Continuation lines are indented so that a long message stays one block.
std::string labelled(std::string_view label, std::string_view text) {
  std::string out = fmt::format("{:<7}", label);
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "       ";
  }
  out += '\n';
  return out;
}

}  // namespace

std::string_view to_string(ErrorKind kind) {
  return info_of(kind).name;
}

int exit_code(ErrorKind kind) {
  return info_of(kind).code;
}

Error& Error::during(std::string doing) & {
  during_lines.push_back(std::move(doing));
  return *this;
}

Error Error::during(std::string doing) && {
  during_lines.push_back(std::move(doing));
  return std::move(*this);
}

Error& Error::with_hint(std::string text) & {
  if (hint.empty()) hint = std::move(text);
  return *this;
}

Error Error::with_hint(std::string text) && {
  if (hint.empty()) hint = std::move(text);
  return std::move(*this);
}

// What others sent is part of messages: it may neither steer a terminal nor break the JSON.
std::string Error::render() const {
  std::string out = labelled("error:", what);
  for (const auto& line : during_lines) out += labelled("while:", line);
  if (!hint.empty()) out += labelled("hint:", hint);
  return presentable(out);
}

nlohmann::json Error::to_json() const {
  auto doing = nlohmann::json::array();
  for (const auto& line : during_lines) doing.push_back(presentable(line));
  return {{"kind", to_string(kind)},
          {"error", presentable(what)},
          {"while", std::move(doing)},
          {"hint", presentable(hint)}};
}

Error system_error(int errno_value, std::string_view action) {
  const auto kind = errno_value == ENOENT ? ErrorKind::not_found : ErrorKind::io;
  Error error(kind, fmt::format("{}: {}", action, std::generic_category().message(errno_value)));
  if (errno_value == ENOSPC || errno_value == EDQUOT) {
    error.with_hint("free space on this file system (`df -h` shows it) and run the command again");
  } else if (errno_value == EACCES || errno_value == EPERM) {
    error.with_hint("check the permissions, or run the command as root");
  }
  return error;
}

}  // namespace bedplate

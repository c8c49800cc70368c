#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/result.hpp"

namespace bedplate {

using Json = nlohmann::json;

/// Parses without exceptions; ErrorKind::invalid says `name` and the byte. Nesting deeper than 64
/// is refused (hostile input).
Result<Json> parse_json(std::string_view text, std::string_view name);

/// read_file and parse_json.
Result<Json> read_json(const std::filesystem::path& path);

/// The value as text; indented when `indent` is 0 or more. Never throws: bytes that are not UTF-8
/// come out as U+FFFD. For everything that holds text from outside (requests, programs, hardware),
/// where Json::dump() would end the process.
std::string dump_text(const Json& value, int indent = -1);

/// Typed access: ErrorKind::invalid naming `key` when it is absent or of another type.
Result<std::string> json_string(const Json& object, std::string_view key);
Result<std::uint64_t> json_uint(const Json& object, std::string_view key);
/// The value, or the default when absent or of another type.
std::string json_string_or(const Json& object, std::string_view key, std::string_view fallback);

}  // namespace bedplate

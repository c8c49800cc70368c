#include "core/json.hpp"

#include <fmt/format.h>

#include "core/file.hpp"

namespace bedplate {

Result<Json> parse_json(std::string_view text, std::string_view name) {
  constexpr int deepest = 64;
  bool too_deep = false;
  const auto guard = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > deepest;
    return !too_deep;
  };
  try {
    auto value = Json::parse(text, guard);
    if (too_deep) {
      return fail(ErrorKind::invalid,
                  fmt::format("{}: nested deeper than {} levels", name, deepest));
    }
    return value;
  } catch (const Json::exception& error) {
    return fail(ErrorKind::invalid, fmt::format("{} is not JSON: {}", name, error.what()));
  }
}

Result<Json> read_json(const std::filesystem::path& path) {
  BP_TRY(auto text, read_file(path));
  return parse_json(text, path.string());
}

std::string dump_text(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> json_string(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  if (!object.is_object() || found == object.end() || !found->is_string()) {
    return fail(ErrorKind::invalid, fmt::format("field '{}' must be a string", key));
  }
  return found->get<std::string>();
}

Result<std::uint64_t> json_uint(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  if (!object.is_object() || found == object.end() || !found->is_number_unsigned()) {
    return fail(ErrorKind::invalid, fmt::format("field '{}' must be a non-negative number", key));
  }
  return found->get<std::uint64_t>();
}

std::string json_string_or(const Json& object, std::string_view key, std::string_view fallback) {
  const auto found = object.find(key);
  if (!object.is_object() || found == object.end() || !found->is_string()) {
    return std::string(fallback);
  }
  return found->get<std::string>();
}

}  // namespace bedplate

#pragma once

#include <expected>
#include <utility>

#include "core/error.hpp"

namespace bedplate {

/// A value or the reason why there is none. Exceptions of libraries are caught at the call that
/// makes them and never cross one of our functions.
template <class T = void>
using Result = std::expected<T, Error>;

/// `return fail(ErrorKind::io, "…")`, with `.during(…)`/`.with_hint(…)` on the Error if wanted.
inline std::unexpected<Error> fail(Error error) {
  return std::unexpected<Error>(std::move(error));
}
inline std::unexpected<Error> fail(ErrorKind kind, std::string what) {
  return std::unexpected<Error>(Error(kind, std::move(what)));
}
inline std::unexpected<Error> fail(ErrorKind kind, std::string what, std::string hint) {
  return std::unexpected<Error>(Error(kind, std::move(what)).with_hint(std::move(hint)));
}

}  // namespace bedplate

#define BP_CONCAT_(a, b) a##b
#define BP_CONCAT(a, b) BP_CONCAT_(a, b)

/// `BP_TRY(auto value, expression);` declares value from a Result or returns its error.
#define BP_TRY(declaration, ...)                                                \
  auto BP_CONCAT(bp_result_, __LINE__) = (__VA_ARGS__);                         \
  if (!BP_CONCAT(bp_result_, __LINE__))                                         \
    return std::unexpected(std::move(BP_CONCAT(bp_result_, __LINE__)).error()); \
  declaration = std::move(*BP_CONCAT(bp_result_, __LINE__))

/// Returns the error of a Result, drops its value.
#define BP_CHECK(...)                                        \
  do {                                                       \
    if (auto bp_result_ = (__VA_ARGS__); !bp_result_)        \
      return std::unexpected(std::move(bp_result_).error()); \
  } while (false)

/// As BP_TRY and BP_CHECK, adding a `while:` line on failure.
#define BP_TRY_DURING(declaration, doing, ...)                                                \
  auto BP_CONCAT(bp_result_, __LINE__) = (__VA_ARGS__);                                       \
  if (!BP_CONCAT(bp_result_, __LINE__))                                                       \
    return std::unexpected(std::move(BP_CONCAT(bp_result_, __LINE__)).error().during(doing)); \
  declaration = std::move(*BP_CONCAT(bp_result_, __LINE__))

#define BP_CHECK_DURING(doing, ...)                                        \
  do {                                                                     \
    if (auto bp_result_ = (__VA_ARGS__); !bp_result_)                      \
      return std::unexpected(std::move(bp_result_).error().during(doing)); \
  } while (false)

#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>

#include "core/result.hpp"

namespace bedplate::push {

/// A registry that is away is away for all: nobody wants to wait for each image and blob to find
/// out. Thread-safe.
class Reach {
 public:
  Reach(std::string registry, std::size_t patience)
      : registry_(std::move(registry)), patience_(patience) {}

  /// How one request or more went: nullptr is well.
  void note(const Error* error);
  /// Set after more than `patience` failures to reach it, one after the other.
  std::optional<Error> given_up() const;

 private:
  const std::string registry_;
  const std::size_t patience_;
  mutable std::mutex mutex_;
  std::size_t away_ = 0;
  std::optional<Error> given_up_;
};

}  // namespace bedplate::push

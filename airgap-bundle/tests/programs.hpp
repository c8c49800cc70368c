#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "core/process.hpp"

namespace bedplate::bundle_test {

/// A program in the background with its output in a file; ended with the object, and by the kernel
/// when we die.
class Background {
 public:
  Background(const std::vector<std::string>& argv, const std::filesystem::path& log);
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background();
  bool running() const;

 private:
  pid_t pid_ = -1;
};

/// In PATH, or nothing.
std::optional<std::string> program(const std::string& name);
/// From the node payload in the cache (qemu-tests/payload/build), or nothing.
std::optional<std::string> payload_program(const std::string& name);

/// A registry client that is built from its module (qemu-tests/payload/build), once. The test fails
/// when that fails.
std::string built_client(const std::string& name);

/// Runs to the end; the test fails, with the program's output, when its status is not 0.
std::string run(std::vector<std::string> argv);

/// A TCP port of the loopback address that nobody uses now.
std::uint16_t free_port();
/// Waits up to 20 s until somebody listens there.
bool wait_for_port(std::uint16_t port);

}  // namespace bedplate::bundle_test

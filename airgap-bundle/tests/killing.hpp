#pragma once

#include <csignal>
#include <functional>
#include <string_view>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/progress.hpp"

namespace bedplate::bundle_test {

/// Kills the process as soon as that many bytes have been reported.
class KillAfter final : public Progress {
 public:
  explicit KillAfter(std::uint64_t bytes) : left_(bytes) {}
  void begin(std::string_view /*title*/, std::uint64_t /*total*/) override {}
  void note(std::string_view /*line*/) override {}
  void end() override {}
  void advance(std::uint64_t bytes) override {
    if (bytes >= left_) ::raise(SIGKILL);
    left_ -= bytes;
  }

 private:
  std::uint64_t left_;
};

/// Runs `work` in a process of its own that is killed after `bytes` of progress. Whether it was
/// killed; else it has ended, with success.
inline bool killed_after(std::uint64_t bytes, const std::function<bool(Progress*)>& work) {
  const auto child = ::fork();
  if (child == 0) {
    KillAfter progress(bytes);
    ::_exit(work(&progress) ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) return true;
  EXPECT_EQ(WEXITSTATUS(status), 0);
  return false;
}

}  // namespace bedplate::bundle_test

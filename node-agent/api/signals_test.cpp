// A peer that closes in the middle of a write ends a test's program by SIGPIPE, unless it is
// ignored as cli/main.cpp does for the real one: the error then comes back from write().

#include <csignal>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/file.hpp"

namespace bedplate::agent {
namespace {

class BrokenPipes : public testing::Environment {
  void SetUp() override { std::signal(SIGPIPE, SIG_IGN); }
};

const auto* const broken_pipes = testing::AddGlobalTestEnvironment(new BrokenPipes);

TEST(Signals, AClosedPeerIsAnErrorNotTheEnd) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const UniqueFd writer(ends[1]);
  EXPECT_FALSE(write_all(writer.get(), as_byte_span("x")));
}

}  // namespace
}  // namespace bedplate::agent

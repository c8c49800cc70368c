#include "installer/ui/console.hpp"

#include <gtest/gtest.h>

namespace bedplate::installer {
namespace {

StepEvent event(StepState state, std::string detail = {}) {
  return {"verify-bundle",
          "check the bundle",
          state,
          std::move(detail),
          std::chrono::milliseconds(4800),
          std::nullopt};
}

TEST(StepLine, IsWhatRehearsalsRead) {
  EXPECT_EQ(step_line(event(StepState::applying), true),
            "bedplate: install/verify-bundle: started");
  EXPECT_EQ(step_line(event(StepState::satisfied), true),
            "bedplate: install/verify-bundle: ok (4.8 s)");
  EXPECT_EQ(step_line(event(StepState::satisfied, "no EFI variables"), false),
            "bedplate: install/verify-bundle: skipped (no EFI variables)");
  EXPECT_EQ(step_line(event(StepState::failed), true), "bedplate: install/verify-bundle: failed");
  EXPECT_EQ(step_line(event(StepState::conflict), true), "bedplate: install/verify-bundle: failed");
}

TEST(Console, WithoutAScreenDoesNotWait) {
  EXPECT_FALSE(Console("/nonexistent", "/nonexistent").wait_for_enter());
}

}  // namespace
}  // namespace bedplate::installer

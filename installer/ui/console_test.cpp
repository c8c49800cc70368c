#include "installer/ui/console.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "core/file.hpp"

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

/// A terminal, and what is in front of it: a person's end.
class Terminal {
 public:
  Terminal() : person_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    ::grantpt(person_.get());
    ::unlockpt(person_.get());
    std::array<char, 64> name{};
    ::ptsname_r(person_.get(), name.data(), name.size());
    path = name.data();
    device_ = open_file(path, O_RDWR | O_NOCTTY).value();  // it hangs up without anyone on it
  }
  void type(std::string_view text) { ASSERT_TRUE(write_all(person_.get(), as_byte_span(text))); }
  void hang_up() { person_.reset(); }
  std::filesystem::path path;

 private:
  UniqueFd person_;
  UniqueFd device_;
};

TEST(Console, WaitsForEnterOnAnyScreen) {
  Terminal serial;
  Terminal screen;
  serial.type("typed before\n");
  std::atomic<bool> pressed{false};
  std::jthread person([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    pressed = true;
    screen.type("\n");
  });
  EXPECT_TRUE(Console(serial.path, screen.path).wait_for_enter());
  EXPECT_TRUE(pressed) << "what was typed before the question is no answer";
}

TEST(Console, AScreenThatHangsUpIsNoAnswer) {
  Terminal serial;
  std::jthread person([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    serial.hang_up();
  });
  EXPECT_FALSE(Console(serial.path, "/nonexistent").wait_for_enter());
}

TEST(Console, WithoutAScreenDoesNotWait) {
  EXPECT_FALSE(Console("/nonexistent", "/nonexistent").wait_for_enter());
}

}  // namespace
}  // namespace bedplate::installer

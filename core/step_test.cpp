#include "core/step.hpp"

#include <fstream>

#include <gtest/gtest.h>

#include "core/file.hpp"
#include "core/json.hpp"

namespace bedplate {
namespace {

class Recorder final : public StepObserver {
 public:
  void on_step(const StepEvent& event) override {
    lines.push_back(event.id + " " + std::string(to_string(event.state)));
    if (event.error) last_error = event.error;
  }
  std::vector<std::string> lines;
  std::optional<Error> last_error;
};

struct Thing {
  bool there = false;
  int applied = 0;
};

std::unique_ptr<Step> bring_about(std::string id, Thing& thing) {
  return make_step(
      std::move(id), "bring it about",
      [&thing]() -> Result<ProbeResult> {
        return thing.there ? ProbeResult::satisfied() : ProbeResult::missing();
      },
      [&thing]() -> Result<void> {
        thing.there = true;
        ++thing.applied;
        return {};
      });
}

TEST(Steps, AppliesOnlyWhatIsMissing) {
  Thing first;
  Thing second;
  second.there = true;
  std::vector<std::unique_ptr<Step>> steps;
  steps.push_back(bring_about("first", first));
  steps.push_back(bring_about("second", second));
  Recorder recorder;
  FakeClock clock;
  ASSERT_TRUE(run_steps(steps, {&recorder}, clock));
  EXPECT_EQ(recorder.lines,
            (std::vector<std::string>{"first applying", "first satisfied", "second satisfied"}));
  ASSERT_TRUE(run_steps(steps, {&recorder}, clock));
  EXPECT_EQ(first.applied, 1);
  EXPECT_EQ(second.applied, 0);
}

TEST(Steps, AnApplyThatChangesNothingIsFound) {
  std::vector<std::unique_ptr<Step>> steps;
  steps.push_back(make_step(
      "hollow", "do nothing", []() -> Result<ProbeResult> { return ProbeResult::missing("gone"); },
      []() -> Result<void> { return {}; }));
  FakeClock clock;
  const auto result = run_steps(steps, {}, clock);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::internal);
  EXPECT_EQ(result.error().during_lines.back(), "do nothing (hollow)");
}

TEST(Steps, AConflictIsNeverApplied) {
  bool applied = false;
  Thing later;
  std::vector<std::unique_ptr<Step>> steps;
  steps.push_back(make_step(
      "disk", "use the disk",
      []() -> Result<ProbeResult> { return ProbeResult::conflict("holds ext4"); },
      [&]() -> Result<void> {
        applied = true;
        return {};
      }));
  steps.push_back(bring_about("later", later));
  Recorder recorder;
  FakeClock clock;
  EXPECT_EQ(run_steps(steps, {&recorder}, clock).error().kind, ErrorKind::conflict);
  EXPECT_FALSE(applied);
  EXPECT_FALSE(later.there);
  EXPECT_EQ(recorder.last_error->what, "holds ext4");
}

TEST(Journal, CutsATornTailAndGoesOn) {
  auto folder = *TemporaryDirectory::create("bedplate-journal");
  const auto path = folder.path() / "journal.jsonl";
  std::ofstream(path) << "{\"step\":\"a\"}\n{\"step\":\"to";
  FakeClock clock;
  Thing thing;
  std::vector<std::unique_ptr<Step>> steps;
  steps.push_back(bring_about("first", thing));
  {
    auto journal = *Journal::open(path, clock);
    ASSERT_TRUE(run_steps(steps, {journal.get()}, clock));
  }
  std::ifstream in(path);
  std::vector<std::string> seen;
  for (std::string line; std::getline(in, line);) {
    seen.push_back(parse_json(line, "line").value()["step"].get<std::string>());
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "first", "first"}));
}

}  // namespace
}  // namespace bedplate

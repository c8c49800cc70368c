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

TEST(Steps, AnswersThatComeLateAreWaitedFor) {
  int probes = 0;
  std::vector<std::unique_ptr<Step>> steps;
  steps.push_back(make_step(
      "slow", "start a slow server",
      [&]() -> Result<ProbeResult> {
        return ++probes < 4 ? ProbeResult::missing() : ProbeResult::satisfied();
      },
      []() -> Result<void> { return {}; }));
  FakeClock clock;
  EXPECT_TRUE(run_steps(steps, {}, clock));
  EXPECT_EQ(probes, 4);
  EXPECT_EQ(clock.uptime, std::chrono::seconds(2));
}

TEST(Steps, ALastingStepIsBelievedForItsAge) {
  using std::chrono::minutes;
  int probes = 0;
  auto there = Probe::satisfied;
  FakeClock clock;
  auto step = make_lasting(make_step(
                               "object", "make an object",
                               [&]() -> Result<ProbeResult> {
                                 ++probes;
                                 return ProbeResult{there, ""};
                               },
                               []() -> Result<void> { return {}; }),
                           minutes(5), clock);
  EXPECT_EQ(step->probe()->probe, Probe::satisfied);
  there = Probe::missing;
  clock.sleep(minutes(4));
  EXPECT_EQ(step->probe()->probe, Probe::satisfied);
  EXPECT_EQ(probes, 1);
  clock.sleep(minutes(1));
  EXPECT_EQ(step->probe()->probe, Probe::missing);
  EXPECT_EQ(step->probe()->probe, Probe::missing) << "what is missing is never remembered";
  EXPECT_EQ(probes, 3);
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

/// Step and state of each line.
std::vector<std::string> states_in(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) {
    const auto json = parse_json(line, "line").value();
    out.push_back(json["step"].get<std::string>() + " " + json["state"].get<std::string>());
  }
  return out;
}

TEST(Journal, TakesBytesThatAreNotUtf8) {
  auto folder = *TemporaryDirectory::create("bedplate-step");
  const auto path = folder.path() / "journal.jsonl";
  FakeClock clock;
  auto journal = *Journal::open(path, clock);
  journal->on_step({"disk",
                    "name it",
                    StepState::failed,
                    "serial \xff",
                    {},
                    Error(ErrorKind::process, "said \xc3\x28")});
  const auto line = parse_json(read_file(path).value(), "line");
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["detail"], "serial \xef\xbf\xbd");
}

TEST(Journal, WritesNothingForWhatIsSaidAgain) {
  auto folder = *TemporaryDirectory::create("bedplate-journal");
  const auto path = folder.path() / "journal.jsonl";
  FakeClock clock;
  Thing thing;
  std::string trouble = "no answer";
  std::vector<std::unique_ptr<Step>> steps;
  steps.push_back(bring_about("first", thing));
  steps.push_back(make_step(
      "join", "join", []() -> Result<ProbeResult> { return ProbeResult::missing(); },
      [&]() -> Result<void> { return fail(ErrorKind::network, trouble); }));
  auto journal = *Journal::open(path, clock);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(run_steps(steps, {journal.get()}, clock));
  const std::vector<std::string> once{"first applying", "first satisfied", "join applying",
                                      "join failed"};
  EXPECT_EQ(states_in(path), once);
  trouble = "refused";
  EXPECT_FALSE(run_steps(steps, {journal.get()}, clock));
  auto twice = once;
  twice.insert(twice.end(), {"join applying", "join failed"});
  EXPECT_EQ(states_in(path), twice) << "another failure is news";
  thing.there = false;
  EXPECT_FALSE(run_steps(steps, {journal.get()}, clock));
  twice.insert(twice.end(), {"first applying", "first satisfied"});
  EXPECT_EQ(states_in(path), twice) << "what had to be done again is news";
}

}  // namespace
}  // namespace bedplate

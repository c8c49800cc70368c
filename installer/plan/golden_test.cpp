// Triples: probed.json and site.yaml of each folder of testdata, and the plan or error they give.
// BEDPLATE_UPDATE_GOLDEN=1 writes what is given now.

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "core/file.hpp"
#include "core/json.hpp"
#include "installer/plan/layout.hpp"
#include "installer/plan/plan.hpp"

namespace bedplate::installer {
namespace {

namespace fs = std::filesystem;

const fs::path kTestdata = fs::path(BEDPLATE_SOURCE_DIR) / "installer/testdata";

SystemFacts test_system() {
  return {.version = "2026.11.0",
          .root_hash = std::string(64, 'a'),
          .hash_offset = 171'000'000 / 4096 * 4096,
          .size = 172'000'000,
          .sha256 = std::string(64, 'b'),
          .kernel_version = "6.12.0"};
}

BundleFacts test_bundle() {
  return {"golden", "2026.11.0", 700'000'000};
}

Result<Plan> plan_of(const fs::path& folder, const ProbedHost* replace = nullptr) {
  BP_TRY(const auto json, read_json(folder / "probed.json"));
  BP_TRY(const auto host, probed_host_from_json(json));
  BP_TRY(const auto text, read_file(folder / "site.yaml"));
  BP_TRY(const auto site, parse_site(text, "site.yaml"));
  return make_plan(site, replace == nullptr ? host : *replace, test_system(), test_bundle());
}

std::vector<std::string> cases() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(kTestdata)) {
    out.push_back(entry.path().filename().string());
  }
  std::ranges::sort(out);
  return out;
}

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, GivesTheExpectedPlanOrError) {
  const auto folder = kTestdata / GetParam();
  const auto plan = plan_of(folder);
  const auto have = plan ? to_text(*plan) : plan.error().render();
  const auto golden = folder / (plan ? "plan.txt" : "error.txt");
  if (std::getenv("BEDPLATE_UPDATE_GOLDEN") != nullptr) {
    fs::remove(folder / (plan ? "error.txt" : "plan.txt"));
    ASSERT_TRUE(write_file_atomic(golden, have));
    return;
  }
  const auto wanted = read_file(golden);
  ASSERT_TRUE(wanted) << "no " << golden << "; it gave:\n" << have;
  EXPECT_EQ(have, *wanted);
}

INSTANTIATE_TEST_SUITE_P(Layouts, Golden, ::testing::ValuesIn(cases()), [](const auto& info) {
  auto name = info.param;
  std::erase(name, '-');
  return name;
});

/// The host of a case, its disk left as our own cut installation would leave it.
ProbedHost cut_host(const Plan& plan, const ProbedHost& host) {
  auto out = host;
  auto& disk = out.disks.front();
  disk.signatures = {{"PMBR", {}, {}}, {"gpt", {}, {}}};
  disk.table_uuid = plan.table_uuid;
  disk.partitions.clear();
  for (const auto& part : plan.partitions) {
    disk.partitions.push_back(
        {part.number, part.start, part.size, part.label, part.uuid, part.type, {}});
  }
  return out;
}

class Continued : public ::testing::Test {
 protected:
  void SetUp() override {
    auto json = read_json(folder_ / "probed.json");
    ASSERT_TRUE(json);
    auto host = probed_host_from_json(*json);
    ASSERT_TRUE(host);
    host_ = *host;
    auto plan = plan_of(folder_);
    ASSERT_TRUE(plan);
    plan_ = *plan;
  }
  fs::path folder_ = kTestdata / "empty";
  ProbedHost host_;
  Plan plan_;
};

TEST_F(Continued, TakesUpItsOwnCutInstallationWithTheSamePlan) {
  const auto cut = cut_host(plan_, host_);
  const auto again = plan_of(folder_, &cut);
  ASSERT_TRUE(again) << again.error().render();
  EXPECT_TRUE(again->continues);
  EXPECT_TRUE(again->destroyed.empty());
  EXPECT_EQ(again->hash(), plan_.hash());
}

TEST_F(Continued, RefusesATableThatOnlyLooksLikeItsOwn) {
  auto other = cut_host(plan_, host_);
  other.disks.front().partitions[4].uuid = "00000000-0000-4000-8000-000000000005";
  const auto plan = plan_of(folder_, &other);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind, ErrorKind::conflict);
}

TEST_F(Continued, RefusesTheInstalledDiskOfAnotherNode) {
  auto other = cut_host(plan_, host_);
  other.disks.front().marker_site = plan_.site_id;
  other.disks.front().marker_node = "node-2";
  const auto plan = plan_of(folder_, &other);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind, ErrorKind::conflict);
}

TEST(ProbedHostJson, IsReadBackAsWritten) {
  for (const auto& name : cases()) {
    const auto json = read_json(kTestdata / name / "probed.json");
    ASSERT_TRUE(json) << name;
    const auto host = probed_host_from_json(*json);
    ASSERT_TRUE(host) << name;
    EXPECT_EQ(to_json(*host), *json) << name;
  }
}

TEST(ProbedHostJson, RefusesWrongTypes) {
  const auto host = probed_host_from_json(Json{{"macs", 5}});
  ASSERT_FALSE(host);
  EXPECT_EQ(host.error().kind, ErrorKind::invalid);
}

TEST(PlanHash, ChangesWithWhatWouldBeDestroyed) {
  const auto plan = plan_of(kTestdata / "wipe-approved");
  ASSERT_TRUE(plan);
  auto other = *plan;
  other.destroyed.push_back("partition 9: ext4 file system");
  EXPECT_NE(plan->hash(), other.hash());
}

TEST(PlanHash, TakesWhatADiskSaysOfItselfAlsoWhenItIsNotUtf8) {
  auto plan = plan_of(kTestdata / "empty");
  ASSERT_TRUE(plan);
  plan->disk_serial = "SN\xff";
  EXPECT_EQ(plan->hash().size(), 64U);
}

}  // namespace
}  // namespace bedplate::installer

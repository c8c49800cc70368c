// The format read by another implementation, which was written from its description.

#include <gmock/gmock.h>

#include "airgap-bundle/sets/delta.hpp"
#include "airgap-bundle/sets/inventory.hpp"
#include "airgap-bundle/sets/part_set.hpp"
#include "airgap-bundle/sets/split.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/programs.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

class PythonTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    const auto python = program("python3");
    ASSERT_TRUE(python && program("openssl"));
    reader_ = {*python, "-B", BEDPLATE_SOURCE_DIR "/airgap-bundle/tests/read_bundle.py"};
    create(file());
  }

  ProcessResult read(const fs::path& path, const std::string& key) {
    Command command;
    command.argv = reader_;
    command.argv.insert(command.argv.end(), {path.string(), key});
    auto result = SystemProcessRunner().run(command);
    EXPECT_TRUE(result);
    return result ? *result : ProcessResult{};
  }

  std::vector<std::string> reader_;
};

TEST_F(PythonTest, SeesTheSameHeader) {
  const auto result = read(file(), key_.public_key().str());
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(*parse_json(result.out, "python"),
            *parse_json(bundle::to_json_text(open(file())->header()), "header"));
}

TEST_F(PythonTest, RefusesWhatTheFirstReaderRefuses) {
  EXPECT_THAT(read(file(), PrivateKey::generate().public_key().str()).err,
              testing::HasSubstr("another key"));
  const auto size = fs::file_size(file());
  const auto reader = open(file());
  const auto& last_blob = reader->header().entries[3];
  for (const auto place :
       {std::uint64_t{0}, std::uint64_t{512}, std::uint64_t{700}, last_blob.offset - 512,
        last_blob.offset + last_blob.size / 2, last_blob.offset + last_blob.size, size - 1}) {
    if (place == last_blob.offset + last_blob.size && last_blob.size % 512 == 0) continue;
    flip(file(), place);
    EXPECT_NE(read(file(), key_.public_key().str()).status, 0) << "at " << place;
    const auto again = open(file());
    EXPECT_FALSE(again && again->verify(nullptr)) << "at " << place;
    flip(file(), place);
  }
  EXPECT_EQ(read(file(), key_.public_key().str()).status, 0) << "whole again";
  fs::resize_file(file(), size - 512);
  EXPECT_NE(read(file(), key_.public_key().str()).status, 0);
}

/// The same for parts, differential bundles and inventories.
class PythonSetTest : public PythonTest {
 protected:
  void SetUp() override {
    PythonTest::SetUp();
    reader_.back() = BEDPLATE_SOURCE_DIR "/airgap-bundle/tests/read_set.py";
  }
  ProcessResult run_reader(const std::string& what, const std::vector<fs::path>& files) {
    Command command;
    command.argv = reader_;
    command.argv.insert(command.argv.end(), {what, key_.public_key().str()});
    for (const auto& path : files) command.argv.push_back(path.string());
    auto result = SystemProcessRunner().run(command);
    EXPECT_TRUE(result);
    return result ? *result : ProcessResult{};
  }
  std::vector<PublicKey> keys() const { return {key_.public_key()}; }
};

TEST_F(PythonSetTest, ReadsPartsInAnyOrderAndRefusesWhatWeRefuse) {
  sets::SplitOptions options;
  options.bundle = file();
  options.part_size = 100'000;
  const auto plan = sets::split(options, keys(), nullptr);
  ASSERT_OK(plan);
  std::vector<fs::path> parts;
  for (auto i = plan->layout.count(); i > 0; --i) {
    parts.push_back(folder() / sets::part_name("site.bundle", i, plan->layout.count()));
  }
  const auto result = run_reader("parts", parts);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(*parse_json(result.out, "python"),
            *parse_json(bundle::to_json_text(open(file())->header()), "header"));
  EXPECT_THAT(run_reader("parts", {parts[0], parts[1]}).err, testing::HasSubstr("missing"));
  for (const std::uint64_t place : {20, 40, 100, 130, 400, 512, 50'000}) {
    flip(parts[1], place);
    EXPECT_NE(run_reader("parts", parts).status, 0) << place;
    EXPECT_FALSE(sets::PartSet::open(parts) && sets::PartSet::open(parts)->verify(keys(), nullptr))
        << place;
    flip(parts[1], place);
  }
}

TEST_F(PythonSetTest, AppliesADeltaToTheSameBytes) {
  const auto old_bundle = folder() / "old.bundle";
  fs::rename(file(), old_bundle);
  write(folder() / "tools/readme", "another one");
  create(file());
  sets::Inventory inventory;
  inventory.add(*open(old_bundle));
  const auto delta = folder() / "delta.bundle";
  ASSERT_OK(sets::diff({file(), inventory.blobs, delta}, keys(), key_, nullptr));
  const auto result = run_reader("apply", {delta, old_bundle, folder() / "out.bundle"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(*digest_file(folder() / "out.bundle"), *digest_file(file()));
}

TEST_F(PythonSetTest, ReadsAnInventory) {
  sets::Inventory inventory;
  inventory.add(*open(file()));
  write(folder() / "inventory.json", sets::sign_inventory(inventory, key_));
  const auto result = run_reader("inventory", {folder() / "inventory.json"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, inventory.to_text() + "\n");
  write(folder() / "inventory.json", sets::sign_inventory(inventory, PrivateKey::generate()));
  EXPECT_NE(run_reader("inventory", {folder() / "inventory.json"}).status, 0);
}

}  // namespace
}  // namespace bedplate::bundle_test

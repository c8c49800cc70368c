// The format read by another implementation, which was written from its description.

#include <gmock/gmock.h>

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

}  // namespace
}  // namespace bedplate::bundle_test

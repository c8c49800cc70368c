#include "imagebuild/verity.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"
#include "core/process_fake.hpp"

namespace bedplate::image {
namespace {

namespace fs = std::filesystem;
const std::string kHash(64, 'a');

TEST(Verity, PadsToWholeBlocks) {
  EXPECT_EQ(padded_size(0), 0U);
  EXPECT_EQ(padded_size(1), 4096U);
  EXPECT_EQ(padded_size(4096), 4096U);
  EXPECT_EQ(padded_size(4097), 8192U);
}

TEST(Verity, TakesOnlyARootHash) {
  EXPECT_EQ(*parse_root_hash(kHash + "\n"), kHash);
  EXPECT_FALSE(parse_root_hash(""));
  EXPECT_FALSE(parse_root_hash(std::string(63, 'a')));
  EXPECT_FALSE(parse_root_hash(std::string(64, 'G')));
}

class AppendVerity : public testing::Test {
 protected:
  TemporaryDirectory scratch_ = *TemporaryDirectory::create("verity-test");
  fs::path file_ = scratch_.path() / "system.img";
  FakeProcessRunner runner_;
  Workshop shop_{runner_, nullptr, scratch_.path(), {}, true};
};

TEST_F(AppendVerity, GivesHashAndOffset) {
  std::ofstream(file_) << std::string(5000, 'x');
  runner_.on("veritysetup format", [this](const Command&) -> Result<ProcessResult> {
    std::ofstream(file_.string() + ".roothash") << kHash;
    return ProcessResult{};
  });
  const auto verity = append_verity(shop_, file_);
  ASSERT_TRUE(verity) << verity.error().render();
  EXPECT_EQ(verity->root_hash, kHash);
  EXPECT_EQ(verity->hash_offset, 8192U);
  EXPECT_EQ(fs::file_size(file_), 8192U);
  EXPECT_FALSE(fs::exists(file_.string() + ".roothash"));
  EXPECT_THAT(runner_.commands.at(0),
              testing::AllOf(testing::HasSubstr("--data-blocks=2 --hash-offset=8192"),
                             testing::EndsWith(file_.string() + " " + file_.string())));
}

TEST_F(AppendVerity, SaysWhatFailed) {
  std::ofstream(file_) << "x";
  runner_.on("veritysetup", ProcessResult{1, "", "no space"});
  const auto verity = append_verity(shop_, file_);
  ASSERT_FALSE(verity);
  EXPECT_EQ(verity.error().kind, ErrorKind::process);
  EXPECT_THAT(verity.error().render(), testing::HasSubstr("making the dm-verity tree"));
}

}  // namespace
}  // namespace bedplate::image

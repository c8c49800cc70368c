#include "airgap-bundle/oci/tar_index.hpp"

#include <optional>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/process.hpp"

namespace bedplate::oci {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class TarIndexTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-tar");
    ASSERT_TRUE(made);
    folder_.emplace(std::move(*made));
    const auto deep = folder() / "in" / std::string(120, 'd') / std::string(120, 'e');
    fs::create_directories(deep);
    put(folder() / "in/short", "one");
    put(deep / "long", "two");
    put(folder() / "in/empty", "");
    fs::create_symlink("short", folder() / "in/link");
    fs::create_symlink("../nowhere", folder() / "in/broken");
    fs::create_hard_link(folder() / "in/short", folder() / "in/zz-hard");
  }

  static void put(const fs::path& path, std::string_view text) {
    ASSERT_TRUE(write_file_atomic(path, text));
  }

  fs::path tar(const std::string& format, const std::string& compress = "") {
    std::vector<std::string> argv{"tar",
                                  "--format=" + format,
                                  "--sort=name",
                                  "-cf",
                                  file().string(),
                                  "-C",
                                  (folder() / "in").string(),
                                  "."};
    if (!compress.empty()) argv.push_back(compress);
    const auto done = SystemProcessRunner().check(argv);
    EXPECT_TRUE(done) << done.error().render();
    return file();
  }

  std::string read(const TarIndex& index, std::string_view path) {
    const auto member = index.find(path);
    if (!member) return member.error().render();
    std::string out(member->size, '\0');
    EXPECT_TRUE(read_exactly_at(
        index.fd(), std::as_writable_bytes(std::span(out.data(), out.size())), member->offset));
    return out;
  }

  fs::path folder() const { return folder_->path(); }
  fs::path file() const { return folder() / "a.tar"; }
  std::optional<TemporaryDirectory> folder_;
};

TEST_F(TarIndexTest, FindsWhatGnuTarWrote) {
  const auto deep = std::string(120, 'd') + "/" + std::string(120, 'e') + "/long";
  for (const std::string format : {"gnu", "pax", "posix"}) {
    const auto index = TarIndex::read(tar(format));
    ASSERT_TRUE(index) << index.error().render();
    EXPECT_EQ(read(*index, "short"), "one") << format;
    EXPECT_EQ(read(*index, "./short"), "one") << format;
    EXPECT_EQ(read(*index, "link"), "one") << format;
    EXPECT_EQ(read(*index, "zz-hard"), "one") << format;
    EXPECT_EQ(read(*index, deep), "two") << format;
    EXPECT_EQ(read(*index, "empty"), "") << format;
    EXPECT_FALSE(index->contains("broken"));
    EXPECT_FALSE(index->contains("absent"));
  }
}

TEST_F(TarIndexTest, CompressedArchivesNameTheCommandThatUnpacks) {
  const auto index = TarIndex::read(tar("gnu", "--gzip"));
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(index.error().hint, HasSubstr("gunzip"));
}

TEST_F(TarIndexTest, CutOrDamagedArchivesAreCorrupt) {
  tar("gnu");
  const auto whole = *read_file(file());
  for (std::size_t length = 0; length < whole.size(); length += 700) {
    put(file(), std::string_view(whole).substr(0, length));
    const auto index = TarIndex::read(file());
    if (index) continue;  // cut behind the end mark
    EXPECT_EQ(index.error().kind, ErrorKind::corrupt) << length;
  }
  auto damaged = whole;
  damaged[0] = static_cast<char>(damaged[0] ^ 1);
  put(file(), damaged);
  EXPECT_EQ(TarIndex::read(file()).error().kind, ErrorKind::corrupt);
}

/// A header whose checksum field is as given, for a member of that size field.
std::string header(std::string_view size, std::optional<std::string> checksum = {}) {
  std::string block(512, '\0');
  block.replace(0, 4, "name");
  block.replace(124, size.size(), size);
  block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  block.replace(148, 8, checksum.value_or(fmt::format("{:06o}", sum) + std::string("\0 ", 2)));
  return block + std::string(1024, '\0');
}

TEST_F(TarIndexTest, NumbersThatAreNoneAreCorrupt) {
  put(file(), header("00000000000"));
  EXPECT_TRUE(TarIndex::read(file()));
  for (const auto& text :
       {header(std::string(12, '\xff')), header("\x80" + std::string(11, '\xff')), header("9"),
        header("0", "\x80" + std::string(7, '\0')), header("77777777777")}) {
    put(file(), text);
    const auto index = TarIndex::read(file());
    ASSERT_FALSE(index);
    EXPECT_EQ(index.error().kind, ErrorKind::corrupt);
  }
}

}  // namespace
}  // namespace bedplate::oci

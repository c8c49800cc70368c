#include "airgap-bundle/bundle/reader.hpp"

#include <csignal>
#include <random>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airgap-bundle/oci/tar_index.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;

class ReaderTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    create(file());
    auto opened = open(file());
    ASSERT_OK(opened);
    header_ = opened->header();
  }
  ErrorKind open_error() const {
    const auto opened = open(file());
    EXPECT_FALSE(opened);
    return opened ? ErrorKind::internal : opened.error().kind;
  }
  ErrorKind verify_error(std::string* what = nullptr) const {
    const auto opened = open(file());
    EXPECT_TRUE(opened);
    if (!opened) return opened.error().kind;
    const auto verified = opened->verify(nullptr);
    EXPECT_FALSE(verified);
    if (verified) return ErrorKind::internal;
    if (what != nullptr) *what = verified.error().what;
    return verified.error().kind;
  }
  bundle::Header header_;
};

TEST_F(ReaderTest, SaysWhatTheSpecificationSaid) {
  EXPECT_EQ(header_.name, "test");
  EXPECT_EQ(header_.version, "1");
  ASSERT_EQ(header_.images.size(), 2U);
  EXPECT_EQ(header_.images[0].name, "registry.example/team/app:1.0");
  EXPECT_EQ(header_.images[0].provenance, "made by a test");
  ASSERT_EQ(header_.artifacts.size(), 1U);
  EXPECT_EQ(*open(file())->artifact_version("tools"), "v3");
  EXPECT_EQ(open(file())->signer(), key_.public_key());
  EXPECT_EQ(open(file())->artifact_version("other").error().kind, ErrorKind::not_found);
}

TEST_F(ReaderTest, SameInputGivesTheSameBytes) {
  create(folder() / "again.bundle");
  EXPECT_EQ(*digest_file(file()), *digest_file(folder() / "again.bundle"));
}

TEST_F(ReaderTest, TwoImagesOfOneTreeShareTheirLayer) {
  const auto reader = open(file());
  const auto layer_of = [&](std::size_t i) {
    const auto manifest = parse_json(*reader->blob(header_.images[i].digest), "manifest");
    return (*manifest)["layers"][0]["digest"].get<std::string>();
  };
  EXPECT_NE(header_.images[0].digest, header_.images[1].digest);
  EXPECT_EQ(layer_of(0), layer_of(1));
}

TEST_F(ReaderTest, IsAnOciLayoutInATarArchive) {
  const auto archive = oci::TarIndex::read(file());
  ASSERT_OK(archive);
  for (const auto& entry : header_.entries) {
    const auto member = archive->find(entry.path);
    ASSERT_OK(member);
    EXPECT_EQ(member->offset, entry.offset);
    EXPECT_EQ(member->size, entry.size);
  }
  EXPECT_TRUE(archive->contains("bedplate.header"));
}

TEST_F(ReaderTest, WholeFileVerifies) {
  ASSERT_OK(open(file())->verify(nullptr));
}

TEST_F(ReaderTest, EveryFlippedByteOfTheHeaderIsRefused) {
  const auto size = header_.entries.front().offset - 512;
  std::mt19937 random(7);
  // The preamble bit by bit is format_test's; here the tar header and samples of the rest.
  for (std::uint64_t at = 0; at < size; at += at < 1024 ? 1 : 1 + random() % 97) {
    flip(file(), at);
    EXPECT_FALSE(open(file())) << "byte " << at;
    flip(file(), at);
  }
  EXPECT_TRUE(open(file()));
}

TEST_F(ReaderTest, AnotherKeyIsUntrusted) {
  const auto other = PrivateKey::generate().public_key();
  const auto opened = bundle::Reader::open(file(), std::vector{other});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::untrusted);
  EXPECT_THAT(opened.error().render(), HasSubstr("while: "));
}

TEST_F(ReaderTest, NoKeyIsUntrusted) {
  EXPECT_EQ(bundle::Reader::open(file(), {}).error().kind, ErrorKind::untrusted);
}

TEST_F(ReaderTest, CutAtAnyLengthIsCorrupt) {
  const auto size = fs::file_size(file());
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{511}, std::uint64_t{600},
        std::uint64_t{5000}, size / 2, size - 1024, size - 1}) {
    fs::resize_file(file(), length);
    EXPECT_EQ(open_error(), ErrorKind::corrupt) << length;
    create(file());
  }
}

TEST_F(ReaderTest, BytesAfterTheEndAreCorrupt) {
  fs::resize_file(file(), fs::file_size(file()) + 512);
  EXPECT_EQ(open_error(), ErrorKind::corrupt);
}

TEST_F(ReaderTest, OtherFilesAreNoBundles) {
  write(file(), noise(100'000, 3));
  EXPECT_EQ(open_error(), ErrorKind::corrupt);
  fs::remove(file());
  EXPECT_EQ(open_error(), ErrorKind::not_found);
}

TEST_F(ReaderTest, VerifyNamesTheDamagedBlobAndItsOffset) {
  for (const auto& entry : header_.entries) {
    if (entry.size == 0) continue;
    flip(file(), entry.offset + entry.size / 2, 0x10);
    std::string what;
    EXPECT_EQ(verify_error(&what), ErrorKind::corrupt);
    EXPECT_THAT(what, HasSubstr(entry.path));
    EXPECT_THAT(what, HasSubstr(std::to_string(entry.offset)));
    flip(file(), entry.offset + entry.size / 2, 0x10);
  }
}

TEST_F(ReaderTest, VerifyFindsTamperedTarHeaders) {
  for (const auto& entry : header_.entries) {
    for (const std::uint64_t at : {0, 100, 124, 156, 300, 511}) {
      flip(file(), entry.offset - 512 + at, 2);
      EXPECT_EQ(verify_error(), ErrorKind::corrupt) << entry.path << " " << at;
      flip(file(), entry.offset - 512 + at, 2);
    }
  }
}

TEST_F(ReaderTest, VerifyFindsBytesInPaddingAndEnd) {
  for (const auto& entry : header_.entries) {
    if (entry.size % 512 == 0) continue;
    flip(file(), entry.offset + entry.size);
    EXPECT_EQ(verify_error(), ErrorKind::corrupt) << entry.path;
    flip(file(), entry.offset + entry.size);
  }
  flip(file(), fs::file_size(file()) - 1);
  EXPECT_EQ(verify_error(), ErrorKind::corrupt);
}

TEST_F(ReaderTest, ExtractWritesContentAndModes) {
  const auto to = folder() / "out";
  ASSERT_OK(open(file())->extract("tools", to, nullptr));
  EXPECT_EQ(*read_file(to / "opt/bin/kubelet"), noise(100'000, 2));
  EXPECT_EQ(*read_file(to / "opt/readme"), std::string(5000, 'r'));
  EXPECT_EQ(fs::file_size(to / "opt/bin/nothing"), 0U);
  struct stat info{};
  ASSERT_EQ(::stat((to / "opt/bin/kubelet").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0755U);
  ASSERT_EQ(::stat((to / "opt/readme").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0640U);
}

TEST_F(ReaderTest, ExtractAgainKeepsRightFilesAndRepairsWrongOnes) {
  const auto to = folder() / "out";
  const auto reader = open(file());
  ASSERT_OK(reader->extract("tools", to, nullptr));
  struct stat kept{};
  ASSERT_EQ(::stat((to / "opt/readme").c_str(), &kept), 0);
  flip(to / "opt/bin/kubelet", 5);
  write(to / "own", "left alone");
  ASSERT_OK(reader->extract("tools", to, nullptr));
  EXPECT_EQ(*read_file(to / "opt/bin/kubelet"), noise(100'000, 2));
  EXPECT_EQ(*read_file(to / "own"), "left alone");
  struct stat now{};
  ASSERT_EQ(::stat((to / "opt/readme").c_str(), &now), 0);
  EXPECT_EQ(now.st_ino, kept.st_ino);
}

TEST_F(ReaderTest, ExtractOfADamagedBlobLeavesNoFile) {
  const auto reader = open(file());
  const auto artifact = parse_json(*reader->blob(header_.artifacts[0].digest), "manifest");
  const auto digest = Digest::parse((*artifact)["layers"][0]["digest"].get<std::string>());
  const auto* entry = reader->header().find(*digest);
  flip(file(), entry->offset + entry->size / 2);
  const auto extracted = reader->extract("tools", folder() / "out", nullptr);
  ASSERT_FALSE(extracted);
  EXPECT_EQ(extracted.error().kind, ErrorKind::corrupt);
  EXPECT_FALSE(fs::exists(folder() / "out/opt/bin/kubelet"));
}

TEST_F(ReaderTest, ExtractLeavesAllAsItWasWhenSomethingIsInTheWay) {
  const auto to = folder() / "out";
  const auto elsewhere = folder() / "elsewhere";
  fs::create_directories(elsewhere);
  const auto refused = [&](const std::string& text) {
    const auto extracted = open(file())->extract("tools", to, nullptr);
    ASSERT_FALSE(extracted) << text;
    EXPECT_EQ(extracted.error().kind, ErrorKind::conflict);
    EXPECT_THAT(extracted.error().what, testing::HasSubstr(text));
    EXPECT_TRUE(fs::is_empty(elsewhere));
  };
  fs::create_directories(to / "opt/readme");
  refused("opt/readme is a folder");
  EXPECT_FALSE(fs::exists(to / "opt/bin"));
  fs::remove_all(to);
  fs::create_directories(to);
  write(to / "opt", "a file");
  refused("opt is no folder");
  EXPECT_EQ(*read_file(to / "opt"), "a file");
  fs::remove(to / "opt");
  fs::create_directory_symlink(elsewhere, to / "opt");
  refused("opt is a link");
}

TEST_F(ReaderTest, ExtractOfSomethingElseIsNotFound) {
  EXPECT_EQ(open(file())->extract("other", folder() / "out", nullptr).error().kind,
            ErrorKind::not_found);
}

/// A create in a child process that is killed after a random time.
void create_and_kill(const std::function<Result<bundle::Header>()>& create, useconds_t after) {
  const auto child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto made = create();
    ::_exit(made ? 0 : 1);
  }
  ::usleep(after);
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
}

TEST_F(ReaderTest, KilledCreateLeavesTheOldBundleAndCanBeRepeated) {
  write(folder() / "app/data/more", noise(3'000'000, 4));
  const auto before = *digest_file(file());
  const auto other = folder() / "new.bundle";
  create(other);
  const auto after = *digest_file(other);
  ASSERT_NE(before, after);
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    create_and_kill([&] { return try_create(file()); },
                    static_cast<useconds_t>(random() % 200'000));
    const auto now = *digest_file(file());
    ASSERT_TRUE(now == before || now == after) << "seed " << seed;
    ASSERT_OK(open(file())->verify(nullptr));
  }
  create(file());
  EXPECT_EQ(*digest_file(file()), after);
  for (const auto& item : fs::directory_iterator(folder())) {
    EXPECT_THAT(item.path().string(), ::testing::Not(HasSubstr(".tmp.")));
  }
}

}  // namespace
}  // namespace bedplate::bundle_test

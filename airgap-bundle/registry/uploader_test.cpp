#include "airgap-bundle/registry/uploader.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "airgap-bundle/tests/fake_registry.hpp"
#include "airgap-bundle/tests/fixture.hpp"

namespace bedplate::registry {
namespace {

using bundle_test::FakeRegistry;
using bundle_test::noise;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Request = FakeRegistry::Request;
using Reply = FakeRegistry::Reply;

constexpr std::uint64_t mebi = 1ULL << 20;

class UploaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-uploader");
    ASSERT_OK(made);
    folder_.emplace(std::move(*made));
    settings_.chunk = mebi;
    settings_.on_progress = [this](std::uint64_t bytes) { progress_ += bytes; };
    write(3 * mebi + 500'000);
  }

  /// The content to be pushed, behind some other bytes of its file.
  void write(std::size_t size) {
    content_ = noise(size, 7);
    digest_ = Digest::of(content_);
    const auto path = folder_->path() / "file";
    ASSERT_OK(write_file_atomic(path, "before" + content_ + "behind"));
    auto opened = open_file(path, O_RDONLY);
    ASSERT_OK(opened);
    file_ = std::move(*opened);
  }

  FilePart part() const { return {file_.get(), 6, content_.size()}; }

  Uploader uploader(Clock* clock) {
    return {*http_, {registry_.host(), "team/app", "", {}}, {true, {}, clock}, settings_};
  }
  Uploader uploader() { return uploader(&clock_); }

  Result<BlobOutcome> push(const std::string& from = {}) {
    return uploader().push_blob(digest_, part(), from);
  }

  void expect_there(FakeRegistry& registry) {
    EXPECT_EQ(registry.blob("team/app", digest_.str()), content_);
  }
  void expect_there() { expect_there(registry_); }

  std::vector<std::string> values(const std::string& method, const std::string& header) const {
    std::vector<std::string> out;
    for (const auto& request : registry_.requests()) {
      if (request.method == method) out.push_back(request.header(header));
    }
    return out;
  }

  FakeRegistry registry_;
  FakeClock clock_;
  std::unique_ptr<HttpClient> http_ = make_http_client();
  UploadSettings settings_;
  std::optional<TemporaryDirectory> folder_;
  UniqueFd file_;
  std::string content_;
  Digest digest_;
  std::uint64_t progress_ = 0;
};

TEST_F(UploaderTest, SmallBlobGoesInOneRequest) {
  write(300'000);
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_EQ(registry_.requests().size(), 2U) << "one to begin, one with everything";
  EXPECT_EQ(progress_, content_.size());
}

TEST_F(UploaderTest, EmptyBlobGoesToo) {
  write(0);
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
}

TEST_F(UploaderTest, LargeBlobGoesInPieces) {
  for (const bool relative : {false, true}) {
    FakeRegistry registry;
    registry.relative = relative;
    Uploader to(*http_, {registry.host(), "team/app", "", {}}, {true, {}, &clock_}, settings_);
    ASSERT_EQ(to.push_blob(digest_, part()), BlobOutcome::sent);
    expect_there(registry);
    EXPECT_EQ(registry.count("PATCH", "for=us"), 4U) << "the query of its address is kept";
    EXPECT_EQ(registry.count("PUT", "for=us"), 1U);
  }
  EXPECT_EQ(clock_.uptime.count(), 0);
}

TEST_F(UploaderTest, PiecesAreAsLongAsTheRegistryWants) {
  registry_.shortest_chunk = 2 * mebi;
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_THAT(values("PATCH", "content-length"),
              ElementsAre(std::to_string(2 * mebi), std::to_string(mebi + 500'000)));
}

TEST_F(UploaderTest, BlobIsTakenOverFromAnotherRepository) {
  registry_.put_blob("other", content_);
  ASSERT_EQ(push("other"), BlobOutcome::mounted);
  expect_there();
  EXPECT_EQ(registry_.requests().size(), 1U);
}

TEST_F(UploaderTest, WithoutTakingOverTheSameUploadGoesOn) {
  registry_.mounts = false;
  ASSERT_EQ(push("other"), BlobOutcome::sent);
  expect_there();
  EXPECT_EQ(registry_.count("POST", ""), 1U);
}

TEST_F(UploaderTest, RefusedTakingOverIsNoFailure) {
  registry_.script = [](const Request& request) -> std::optional<Reply> {
    if (request.parameter("mount").empty()) return std::nullopt;
    return Reply{405, {}, ""};
  };
  ASSERT_EQ(push("other"), BlobOutcome::sent);
  expect_there();
}

TEST_F(UploaderTest, UnsatisfiableRangeIsLookedAtAndTakenUp) {
  int patches = 0;
  registry_.script = [&](const Request& request) -> std::optional<Reply> {
    if (request.method != "PATCH" || ++patches != 2) return std::nullopt;
    return Reply{416, {}, ""};
  };
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_EQ(registry_.count("GET", "uploads"), 1U);
  EXPECT_EQ(patches, 5);
}

TEST_F(UploaderTest, BrokenConnectionIsTakenUpWhereItWas) {
  int patches = 0;
  registry_.cut = [&](const Request& request) -> std::optional<std::size_t> {
    if (request.method != "PATCH" || ++patches != 2) return std::nullopt;
    return 300'000;
  };
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_THAT(values("PATCH", "content-range"),
              ElementsAre("0-1048575", "1348576-2397151", "2397152-3445727", "3445728-3645727"));
  EXPECT_EQ(clock_.uptime, std::chrono::seconds(1));
  EXPECT_EQ(progress_, content_.size()) << "progress counts nothing twice";
}

TEST_F(UploaderTest, SmallBlobWhoseConnectionBrokeIsTakenUpToo) {
  write(900'000);
  bool cut = false;
  registry_.cut = [&](const Request& request) -> std::optional<std::size_t> {
    if (request.method != "PUT" || std::exchange(cut, true)) return std::nullopt;
    return 200'000;
  };
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_THAT(values("PATCH", "content-range"), ElementsAre("200000-899999"));
}

TEST_F(UploaderTest, LostAnswerToTheLastRequestIsFoundOut) {
  bool lost = false;
  registry_.lose_answer = [&](const Request& request) {
    return request.method == "PUT" && !std::exchange(lost, true);
  };
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_EQ(registry_.count("POST", ""), 1U) << "it is not sent again";
}

TEST_F(UploaderTest, UploadThatTheRegistryForgotBeginsAgain) {
  int patches = 0;
  registry_.script = [&](const Request& request) -> std::optional<Reply> {
    if (request.method != "PATCH" || ++patches != 3) return std::nullopt;
    return Reply{404, {}, ""};
  };
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_EQ(registry_.count("POST", ""), 2U);
}

TEST_F(UploaderTest, TokenThatRunsOutInTheMiddleIsFetchedAnew) {
  registry_.token_uses = 2;
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  const auto scopes = registry_.scopes();
  EXPECT_GE(scopes.size(), 3U);
  for (const auto& scope : scopes) {
    EXPECT_THAT(scope, HasSubstr("scope=repository:team/app:pull%2Cpush"));
  }
}

TEST_F(UploaderTest, TokenForTakingOverNamesBothRepositories) {
  registry_.token_uses = 100;
  registry_.put_blob("other", content_);
  ASSERT_EQ(push("other"), BlobOutcome::mounted);
  EXPECT_THAT(registry_.scopes(), ElementsAre(HasSubstr("scope=repository:other:pull")));
}

TEST_F(UploaderTest, AuthorizationDoesNotGoToAnotherHost) {
  FakeRegistry storage;
  storage.script = [](const Request&) -> std::optional<Reply> { return Reply{201, {}, ""}; };
  write(300'000);
  registry_.token_uses = 100;
  registry_.script = [&](const Request& request) -> std::optional<Reply> {
    if (request.method != "POST" || request.header("authorization").empty()) return std::nullopt;
    return Reply{202, {{"Location", "http://" + storage.host() + "/take?signed=1"}}, ""};
  };
  ASSERT_EQ(push(), BlobOutcome::sent);
  ASSERT_EQ(storage.requests().size(), 1U);
  EXPECT_EQ(storage.requests()[0].header("authorization"), "");
  EXPECT_THAT(storage.requests()[0].query, HasSubstr("signed=1&digest=sha256:"));
  EXPECT_THAT(registry_.requests().back().header("authorization"), HasSubstr("Bearer"));
}

TEST_F(UploaderTest, TooLargeARequestBecomesSmaller) {
  settings_.chunk = 64 * mebi;
  registry_.script = [](const Request& request) -> std::optional<Reply> {
    if (request.body.size() <= mebi) return std::nullopt;
    return Reply{413, {}, ""};
  };
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_LE(settings_.chunk.load(), mebi) << "the next blob begins with that";
}

TEST_F(UploaderTest, TooLargeHoweverSmallSaysWhatToDo) {
  registry_.script = [](const Request& request) -> std::optional<Reply> {
    if (request.body.empty()) return std::nullopt;
    return Reply{413, {}, ""};
  };
  const auto pushed = push();
  ASSERT_FALSE(pushed);
  EXPECT_THAT(pushed.error().hint, HasSubstr("client_max_body_size"));
}

TEST_F(UploaderTest, BusyRegistryIsAskedAgainAsItSays) {
  int patches = 0;
  registry_.script = [&](const Request& request) -> std::optional<Reply> {
    if (request.method != "PATCH" || ++patches > 2) return std::nullopt;
    return Reply{429, {{"Retry-After", "7"}}, ""};
  };
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_EQ(clock_.uptime, std::chrono::seconds(14));
}

TEST_F(UploaderTest, PatienceWithErrorsEnds) {
  registry_.script = [](const Request& request) -> std::optional<Reply> {
    if (request.method != "PATCH") return std::nullopt;
    return Reply{500, {}, ""};
  };
  const auto pushed = push();
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().kind, ErrorKind::network);
  EXPECT_EQ(registry_.count("PATCH", ""), 5U);
  EXPECT_EQ(clock_.uptime, std::chrono::seconds(1 + 2 + 4 + 8));
}

TEST_F(UploaderTest, ErrorsDoNotShowWhereAnUploadGoes) {
  registry_.cut = [](const Request& request) -> std::optional<std::size_t> {
    if (request.method != "PATCH") return std::nullopt;
    return 0;
  };
  const auto pushed = push();
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().kind, ErrorKind::network);
  EXPECT_THAT(pushed.error().render(), Not(HasSubstr("state=")));
}

TEST_F(UploaderTest, RegistryThatTakesNothingIsGivenUp) {
  registry_.script = [&](const Request& request) -> std::optional<Reply> {
    if (request.method != "PATCH") return std::nullopt;
    return Reply{202, {{"Range", "0-0"}}, ""};
  };
  EXPECT_FALSE(push());
  EXPECT_EQ(registry_.count("PATCH", ""), 5U);
}

TEST_F(UploaderTest, AnotherDigestThanOursIsCorrupt) {
  registry_.script = [](const Request& request) -> std::optional<Reply> {
    if (request.method != "PUT") return std::nullopt;
    return Reply{201, {{"Docker-Content-Digest", Digest::of(std::string_view("other")).str()}}, ""};
  };
  const auto pushed = push();
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().kind, ErrorKind::corrupt);
}

TEST_F(UploaderTest, BytesThatAreNotWhatTheDigestSaysAreCorrupt) {
  digest_ = Digest::of(std::string_view("something else"));
  const auto pushed = push();
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(pushed.error().hint, HasSubstr("bundle verify"));
  EXPECT_EQ(registry_.count("PUT", ""), 2U) << "once more from the beginning, and no more";
}

TEST_F(UploaderTest, FileThatEndsTooEarlyIsCorrupt) {
  const auto pushed = uploader().push_blob(digest_, {file_.get(), 6, content_.size() + 1'000'000});
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().kind, ErrorKind::corrupt);
}

TEST_F(UploaderTest, SomethingElseThanARegistryIsNotPushedTo) {
  registry_.script = [](const Request&) -> std::optional<Reply> { return Reply{404, {}, ""}; };
  EXPECT_EQ(uploader().check().error().kind, ErrorKind::not_found);
  registry_.script = nullptr;
  EXPECT_TRUE(uploader().check());
}

TEST_F(UploaderTest, ManifestDigestIsComputedWhenTheRegistryDoesNotSayIt) {
  registry_.put_manifest("team/app", "1", "{}");
  EXPECT_EQ(*uploader().find_manifest("1"), Digest::of(std::string_view("{}")));
  registry_.script = [](const Request& request) -> std::optional<Reply> {
    if (request.method == "HEAD") return Reply{200, {}, ""};
    return Reply{200, {}, "{\"a\":1}"};
  };
  EXPECT_EQ(*uploader().find_manifest("1"), Digest::of(std::string_view("{\"a\":1}")));
}

/// What one run leaves, the next finds.
class RememberedTest : public UploaderTest {
 protected:
  void SetUp() override {
    UploaderTest::SetUp();
    open();
    settings_.store = &store_;
  }
  void open() {
    store_ = UploadStore();
    store_ = UploadStore::open(folder_->path() / "uploads", registry_.host(), clock_);
    ASSERT_TRUE(store_.remembers());
  }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> out;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(folder_->path() / "uploads")) {
      if (entry.path().extension() == ".json") out.push_back(entry.path());
    }
    return out;
  }
  /// Ends in the third piece, as if it had been killed.
  void push_in_part() {
    int patches = 0;
    registry_.cut = [patches](const Request& request) mutable -> std::optional<std::size_t> {
      if (request.method != "PATCH" || ++patches != 3) return std::nullopt;
      return 400'000;
    };
    ASSERT_FALSE(uploader(nullptr).push_blob(digest_, part()));
    registry_.cut = nullptr;
    http_ = make_http_client();
  }
  UploadStore store_;
};

TEST_F(RememberedTest, LargeUploadGoesOnInTheNextRun) {
  push_in_part();
  ASSERT_EQ(files().size(), 1U);
  struct stat info{};
  ASSERT_EQ(::stat(files()[0].c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat(files()[0].parent_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  open();
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_EQ(registry_.count("POST", ""), 1U) << "nothing begins again";
  const auto ranges = values("PATCH", "content-range");
  EXPECT_EQ(ranges[2].substr(0, 8), "2497152-") << "bytes that arrived are not sent again";
  EXPECT_TRUE(files().empty()) << "what is done is forgotten";
}

TEST_F(RememberedTest, LargeUploadGoesOnThoughAnotherRepositoryHasTheBlob) {
  push_in_part();
  registry_.mounts = false;
  open();
  ASSERT_EQ(push("other"), BlobOutcome::sent);
  expect_there();
  EXPECT_EQ(values("PATCH", "content-range")[2].substr(0, 8), "2497152-");
}

TEST_F(RememberedTest, TakingOverIsBetterThanGoingOn) {
  push_in_part();
  registry_.put_blob("other", content_);
  open();
  ASSERT_EQ(push("other"), BlobOutcome::mounted);
  expect_there();
  EXPECT_TRUE(files().empty());
}

TEST_F(RememberedTest, UploadThatIsGoneBeginsAnew) {
  store_.keep("team/app", digest_, "http://" + registry_.host() + "/v2/team/app/blobs/uploads/x");
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
}

TEST_F(RememberedTest, BytesOfSomethingElseAreFoundOut) {
  push_in_part();
  const auto other = noise(content_.size(), 8);
  const auto location = *store_.find("team/app", digest_);
  digest_ = Digest::of(other);
  content_ = other;
  ASSERT_OK(write_file_atomic(folder_->path() / "file", "before" + content_));
  file_ = *open_file(folder_->path() / "file", O_RDONLY);
  store_.keep("team/app", digest_, location);
  ASSERT_EQ(push(), BlobOutcome::sent);
  expect_there();
  EXPECT_EQ(registry_.count("POST", ""), 2U);
}

TEST_F(RememberedTest, SecondRunAtTheSameTimeRemembersNothing) {
  const auto second = UploadStore::open(folder_->path() / "uploads", registry_.host(), clock_);
  EXPECT_FALSE(second.remembers());
  second.keep("team/app", digest_, "x");
  EXPECT_EQ(store_.find("team/app", digest_), std::nullopt);
}

TEST_F(RememberedTest, OldUploadsAreDropped) {
  store_.keep("team/app", digest_, "x");
  clock_.wall = SystemClock().now();
  open();
  EXPECT_EQ(store_.find("team/app", digest_), "x");
  clock_.wall += std::chrono::hours(24 * 8);
  open();
  EXPECT_EQ(store_.find("team/app", digest_), std::nullopt);
}

TEST(Locate, KeepsTlsAndQueries) {
  const auto http = make_http_client();
  const Session session(*http, {"registry.example:8443", "a/b", "", {}}, {});
  EXPECT_EQ(*session.locate("/v2/x?y=%2F"), "https://registry.example:8443/v2/x?y=%2F");
  EXPECT_EQ(*session.locate("id"), "https://registry.example:8443/v2/a/b/blobs/uploads/id");
  EXPECT_EQ(*session.locate("//cdn.example/x"), "https://cdn.example/x");
  EXPECT_EQ(*session.locate("https://cdn.example/x?a"), "https://cdn.example/x?a");
  EXPECT_EQ(*session.locate("http://registry.example:8443/x?a"),
            "https://registry.example:8443/x?a")
      << "a registry behind a proxy does not know better";
  EXPECT_EQ(session.locate("http://cdn.example/x").error().kind, ErrorKind::untrusted);
  EXPECT_EQ(session.locate("").error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace bedplate::registry

#include "airgap-bundle/collect/download.hpp"

#include <csignal>
#include <deque>
#include <functional>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airgap-bundle/tests/fixture.hpp"
#include "core/http_server.hpp"

namespace bedplate::collect {
namespace {

namespace fs = std::filesystem;
using bundle_test::noise;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t mebibyte = 1ULL << 20;

/// What the fake server does with one request.
struct Answer {
  int status = 200;
  std::map<std::string, std::string> headers;
  std::string body;
  bool breaks = false;  ///< the connection, after the body
};

/// Answers one after the other; remembers what was asked.
class FakeHttp final : public HttpClient {
 public:
  using Maker = std::function<Answer(const HttpRequest&)>;
  void next(Answer answer) {
    next([answer](const HttpRequest&) { return answer; });
  }
  void next(Maker maker) { makers_.push_back(std::move(maker)); }

  Result<HttpResponse> send(const HttpRequest& request) override {
    requests.push_back(request);
    if (makers_.empty()) return fail(ErrorKind::internal, "nobody expected this request");
    const auto answer = makers_.front()(request);
    makers_.pop_front();
    HttpResponse response{answer.status, answer.headers, ""};
    if (answer.status < 300 && !answer.body.empty()) {
      BP_CHECK(request.on_head(response));
      const auto bytes = as_byte_span(answer.body);
      for (std::size_t at = 0; at < bytes.size(); at += 64 << 10) {
        BP_CHECK(
            request.on_body(bytes.subspan(at, std::min<std::size_t>(64 << 10, bytes.size() - at))));
      }
    }
    if (answer.breaks) return fail(ErrorKind::network, "the connection broke");
    return response;
  }

  static std::string header(const HttpRequest& request, std::string_view name) {
    for (const auto& [key, value] : request.headers) {
      if (key == name) return value;
    }
    return {};
  }
  std::string range(std::size_t index) const { return header(requests.at(index), "Range"); }

  std::vector<HttpRequest> requests;

 private:
  std::deque<Maker> makers_;
};

class DownloadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-download");
    ASSERT_OK(made);
    folder_.emplace(std::move(*made));
    what_.url = "https://files.example/tool";
  }

  fs::path cache() const { return folder_->path() / "cache"; }
  Downloads downloads() { return Downloads(cache(), rate_, clock_, nullptr); }
  Result<Downloaded> get() { return downloads().get(what_, http_); }
  void expect_digest() {
    what_.digest = Digest::of(content_);
    what_.size = content_.size();
  }
  Answer whole() const { return {200, {{"etag", "\"one\""}}, content_, false}; }
  Answer cut(std::size_t bytes) const {
    return {200, {{"etag", "\"one\""}}, content_.substr(0, bytes), true};
  }
  Answer rest(std::uint64_t from) const {
    return {206,
            {{"content-range",
              fmt::format("bytes {}-{}/{}", from, content_.size() - 1, content_.size())},
             {"etag", "\"one\""}},
            content_.substr(from),
            false};
  }
  static void expect_content(const Result<Downloaded>& got, const std::string& content) {
    ASSERT_OK(got);
    EXPECT_EQ(got->digest, Digest::of(content));
    EXPECT_EQ(*read_file(got->path), content);
  }
  /// Names in the folder, besides blobs.
  std::size_t leftovers() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(cache())) {
      if (entry.path().filename().string().starts_with("url-")) ++count;
    }
    return count;
  }

  std::optional<TemporaryDirectory> folder_;
  FakeClock clock_;
  RateLimit rate_{0, clock_};
  FakeHttp http_;
  Download what_;
  std::string content_ = noise(200'000, 7);
};

TEST_F(DownloadTest, IsKeptByDigestAndNotAskedForAgain) {
  expect_digest();
  http_.next(whole());
  expect_content(get(), content_);
  expect_content(get(), content_);
  EXPECT_EQ(http_.requests.size(), 1U);
  EXPECT_EQ(leftovers(), 0U);
}

TEST_F(DownloadTest, ADamagedBlobIsFetchedAgain) {
  expect_digest();
  http_.next(whole());
  const auto first = get();
  ASSERT_OK(first);
  bundle_test::flip(first->path, 1000);
  http_.next(whole());
  expect_content(get(), content_);
}

TEST_F(DownloadTest, ABrokenConnectionIsTakenUpAtTheByte) {
  expect_digest();
  http_.next(cut(150'001));
  http_.next(rest(150'001));
  expect_content(get(), content_);
  EXPECT_EQ(http_.range(1), "bytes=150001-");
  EXPECT_EQ(FakeHttp::header(http_.requests[1], "If-Range"), "\"one\"");
  EXPECT_EQ(clock_.uptime, std::chrono::seconds(1));
}

TEST_F(DownloadTest, AnotherCallGoesOnWhereOneGaveUp) {
  expect_digest();
  http_.next(cut(70'000));
  for (int i = 0; i < 5; ++i) http_.next({503, {}, "", false});
  const auto failed = get();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::network);
  const auto asked = http_.requests.size();
  http_ = FakeHttp();
  http_.next(rest(70'000));
  expect_content(get(), content_);
  EXPECT_EQ(http_.range(0), "bytes=70000-");
  EXPECT_EQ(asked, 5U);
}

TEST_F(DownloadTest, AKilledProcessLosesAtMostEightMebibytes) {
  content_ = noise(20 * mebibyte, 3);
  expect_digest();
  const auto child = ::fork();
  if (child == 0) {
    http_.next([&](const HttpRequest& request) -> Answer {
      (void)request.on_head({200, {{"etag", "\"one\""}}, ""});
      for (std::size_t at = 0; at < 19 * mebibyte; at += 1 << 16) {
        (void)request.on_body(as_byte_span(content_).subspan(at, 1 << 16));
      }
      ::raise(SIGKILL);
      return {};
    });
    (void)get();
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(fs::exists(cache() / what_.digest->hex()));
  http_.next([&](const HttpRequest&) { return rest(16 * mebibyte); });
  expect_content(get(), content_);
  EXPECT_EQ(http_.range(0), fmt::format("bytes={}-", 16 * mebibyte));
}

/// After a power cut a file may have its length and not its content.
TEST_F(DownloadTest, WhatIsNotSafeOnTheDiskDoesNotCount) {
  http_.next(cut(70'000));
  for (int i = 0; i < 5; ++i) http_.next({503, {}, "", false});
  ASSERT_FALSE(get());
  for (const auto& entry : fs::directory_iterator(cache())) {
    if (entry.path().extension() == ".part") fs::resize_file(entry.path(), 90'000);
  }
  http_ = FakeHttp();
  http_.next(rest(70'000));
  expect_content(get(), content_);
  EXPECT_EQ(http_.range(0), "bytes=70000-");
}

TEST_F(DownloadTest, ALineThatBreaksOftenIsNotWaitedForEver) {
  expect_digest();
  http_.next(cut(10'000));
  for (std::uint64_t from = 10'000; from < content_.size(); from += 10'000) {
    auto piece = rest(from);
    piece.body.resize(10'000);
    piece.breaks = from + 10'000 < content_.size();
    http_.next(piece);
  }
  expect_content(get(), content_);
  EXPECT_EQ(clock_.uptime, std::chrono::seconds(19));
}

TEST_F(DownloadTest, APartOfAnotherVersionIsNotPatchedIn) {
  http_.next(cut(70'000));
  auto other = rest(70'000);
  other.headers["etag"] = "\"two\"";
  http_.next(other);
  http_.next(whole());
  expect_content(get(), content_);
  EXPECT_EQ(http_.range(1), "bytes=70000-");
  EXPECT_EQ(http_.range(2), "");
}

TEST_F(DownloadTest, AnAnswerWithLessThanWasAskedForIsNotTheFile) {
  for (const bool size_is_known : {false, true}) {
    http_ = FakeHttp();
    if (size_is_known) expect_digest();
    fs::remove_all(cache());
    http_.next(cut(70'000));
    auto piece = rest(70'000);
    piece.body.resize(30'000);
    piece.headers["content-length"] = "30000";
    http_.next(piece);
    http_.next(rest(100'000));
    expect_content(get(), content_);
    EXPECT_EQ(http_.range(2), "bytes=100000-");
  }
}

TEST_F(DownloadTest, OnlyWhoSaysThatThereIsNoSuchFileIsBelievedBeforeItIsFetched) {
  const auto ask = [&] { return downloads().ask_size(what_, http_); };
  for (const int status : {400, 401, 403, 405, 500, 503}) {
    http_.next({status, {{"content-length", "7"}}, "", false});
    const auto size = ask();
    ASSERT_OK(size);
    EXPECT_FALSE(*size) << status;
  }
  http_.next({200, {}, "", true});
  EXPECT_FALSE(ask().value());
  http_.next({404, {}, "", false});
  const auto gone = ask();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, ErrorKind::not_found);
}

TEST_F(DownloadTest, AnotherVersionIsTakenWhole) {
  http_.next(cut(70'000));
  const auto other = noise(100'000, 8);
  http_.next({200, {{"etag", "\"two\""}}, other, false});
  expect_content(get(), other);
  EXPECT_EQ(http_.range(1), "bytes=70000-");
}

TEST_F(DownloadTest, WithoutANameForTheVersionNothingIsPatchedTogether) {
  http_.next({200, {{"etag", "W/\"weak\""}}, content_.substr(0, 70'000), true});
  for (int i = 0; i < 5; ++i) http_.next({503, {}, "", false});
  ASSERT_FALSE(get());
  EXPECT_EQ(http_.range(1), "");
  http_ = FakeHttp();
  http_.next(whole());
  expect_content(get(), content_);
  EXPECT_EQ(http_.range(0), "");
}

TEST_F(DownloadTest, ADamagedPartCostsOneFetchOfTheWhole) {
  expect_digest();
  http_.next(cut(70'000));
  for (int i = 0; i < 5; ++i) http_.next({503, {}, "", false});
  ASSERT_FALSE(get());
  for (const auto& entry : fs::directory_iterator(cache())) {
    if (entry.path().extension() == ".part") bundle_test::flip(entry.path(), 500);
  }
  http_ = FakeHttp();
  http_.next(rest(70'000));
  http_.next(whole());
  expect_content(get(), content_);
  EXPECT_EQ(http_.range(0), "bytes=70000-");
  EXPECT_EQ(http_.range(1), "");
}

TEST_F(DownloadTest, AWrongDigestIsRefusedAndNothingKept) {
  expect_digest();
  auto answer = whole();
  answer.body[10] = static_cast<char>(answer.body[10] ^ 1);
  http_.next(answer);
  const auto got = get();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(got.error().what, HasSubstr(what_.digest->str()));
  EXPECT_EQ(http_.requests.size(), 1U);
  EXPECT_FALSE(fs::exists(cache() / what_.digest->hex()));
  EXPECT_FALSE(fs::exists(cache() / Digest::of(answer.body).hex()));
}

TEST_F(DownloadTest, MoreThanExpectedStopsTheTransfer) {
  expect_digest();
  auto answer = whole();
  answer.body += "x";
  http_.next(answer);
  const auto got = get();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(got.error().what, HasSubstr("larger"));
}

TEST_F(DownloadTest, MoreThanTheDiskHasIsRefusedBeforeTheFirstByte) {
  auto answer = whole();
  answer.headers["content-length"] = "9000000000000000000";
  http_.next(answer);
  const auto got = get();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::io);
  EXPECT_THAT(got.error().hint, HasSubstr("bundle gc"));
}

TEST_F(DownloadTest, AnUnchangedFileWithoutADigestIsNotSentAgain) {
  http_.next(whole());
  expect_content(get(), content_);
  http_.next({304, {}, "", false});
  expect_content(get(), content_);
  EXPECT_EQ(FakeHttp::header(http_.requests[1], "If-None-Match"), "\"one\"");
  const auto changed = noise(1000, 9);
  http_.next({200, {{"etag", "\"two\""}}, changed, false});
  expect_content(get(), changed);
}

TEST_F(DownloadTest, WhatIsGoneIsSaidWithTheHint) {
  what_.name = "jq 1.7";
  what_.gone = "ask for another";
  http_.next({404, {}, "", false});
  const auto got = get();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::not_found);
  EXPECT_THAT(got.error().what, HasSubstr("jq 1.7 is not there"));
  EXPECT_EQ(got.error().hint, "ask for another");
  EXPECT_EQ(http_.requests.size(), 1U);
}

TEST_F(DownloadTest, ABusyServerIsAskedAsLateAsItSays) {
  expect_digest();
  http_.next({429, {{"retry-after", "7"}}, "", false});
  http_.next({503, {}, "", false});
  http_.next(whole());
  expect_content(get(), content_);
  EXPECT_EQ(clock_.uptime, std::chrono::seconds(7 + 2));
}

TEST_F(DownloadTest, AServerThatStaysAwayIsGivenUp) {
  expect_digest();
  for (int i = 0; i < 9; ++i) http_.next({200, {}, "", true});
  const auto got = get();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::network);
  EXPECT_EQ(http_.requests.size(), 5U);
}

TEST_F(DownloadTest, AnEmptyFileIsAFile) {
  content_.clear();
  expect_digest();
  http_.next({200, {}, "", false});
  expect_content(get(), "");
}

TEST_F(DownloadTest, TheRateIsKept) {
  content_ = noise(1'000'000, 4);
  expect_digest();
  RateLimit slow(100'000, clock_);
  http_.next(whole());
  const auto got = Downloads(cache(), slow, clock_, nullptr).get(what_, http_);
  expect_content(got, content_);
  EXPECT_GE(clock_.uptime, std::chrono::seconds(9));
}

/// The real client and a real server: parts, and several files at once.
class DownloadServerTest : public DownloadTest {
 protected:
  void SetUp() override {
    DownloadTest::SetUp();
    auto server = HttpServer::start(*Ipv4::parse("127.0.0.1"), 0,
                                    [this](const ServerRequest& r) { return answer(r); });
    ASSERT_OK(server);
    server_ = std::move(*server);
  }

  ServerResponse answer(const ServerRequest& request) {
    ++requests_;
    ServerResponse response;
    response.headers = {{"ETag", "\"v1\""}};
    if (request.path == "/missing") {
      response.status = 404;
      return response;
    }
    response.body = content_ + std::string(request.path);
    if (const auto range = request.header("range"); range.starts_with("bytes=")) {
      const auto from = std::stoull(std::string(range.substr(6)));
      response.status = 206;
      response.headers.emplace_back(
          "Content-Range",
          fmt::format("bytes {}-{}/{}", from, response.body.size() - 1, response.body.size()));
      response.body = response.body.substr(from);
    }
    return response;
  }

  Download at(const std::string& path) const {
    Download out;
    out.url = fmt::format("http://127.0.0.1:{}{}", server_->port(), path);
    return out;
  }

  std::atomic<int> requests_{0};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(DownloadServerTest, TakesUpAPartOverTheWire) {
  const auto what = at("/a");
  // What a run that was cut off had left.
  FakeHttp half;
  half.next({200, {{"etag", "\"v1\""}}, content_.substr(0, 123'456), true});
  for (int i = 0; i < 5; ++i) half.next({503, {}, "", false});
  ASSERT_FALSE(downloads().get(what, half));
  const auto http = make_http_client();
  expect_content(downloads().get(what, *http), content_ + "/a");
  EXPECT_EQ(requests_, 1);
}

TEST_F(DownloadServerTest, AllThatCannotBeHadAreNamedAtOnce) {
  std::vector<Download> list;
  for (const auto* path : {"/a", "/b", "/c"}) list.push_back(at(path));
  const auto got = downloads().get_all(list, 2);
  ASSERT_OK(got);
  EXPECT_EQ((*got)[1].digest, Digest::of(content_ + "/b"));
  list[1].url = at("/missing").url;
  list.push_back(at("/missing"));
  const auto failed = downloads().get_all(list, 2);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::not_found);
  EXPECT_THAT(failed.error().what, HasSubstr("2 of 4 files"));
}

TEST_F(DownloadServerTest, AsksForASize) {
  const auto http = make_http_client();
  const auto size = downloads().ask_size(at("/a"), *http);
  ASSERT_OK(size);
  EXPECT_EQ(*size, content_.size() + 2);
}

}  // namespace
}  // namespace bedplate::collect

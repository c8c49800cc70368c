#include "airgap-bundle/registry/client.hpp"

#include <deque>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "airgap-bundle/registry/uploader.hpp"
#include "core/digest.hpp"
#include "core/file.hpp"

namespace bedplate::registry {
namespace {

using ::testing::HasSubstr;

/// Answers in the order given, and remembers what was asked.
class FakeHttp final : public HttpClient {
 public:
  struct Answer {
    int status = 200;
    std::map<std::string, std::string> headers;
    std::string body;
    bool breaks = false;  ///< the connection is lost after the body
  };
  Result<HttpResponse> send(const HttpRequest& request) override {
    requests.push_back(request);
    if (answers.empty()) return fail(ErrorKind::internal, "no answer left");
    auto answer = std::move(answers.front());
    answers.pop_front();
    if (request.on_body && answer.status < 300) {
      BP_CHECK(request.on_body(as_byte_span(answer.body)));
      answer.body.clear();
    }
    if (answer.breaks) return fail(ErrorKind::network, "connection lost");
    return HttpResponse{answer.status, answer.headers, answer.body};
  }
  std::string header(std::size_t i, const std::string& name) const {
    for (const auto& [key, value] : requests.at(i).headers) {
      if (key == name) return value;
    }
    return {};
  }
  std::deque<Answer> answers;
  std::vector<HttpRequest> requests;
};

class ClientTest : public ::testing::Test {
 protected:
  Result<void> fetch(std::string& out) {
    oci::Descriptor blob;
    blob.digest = Digest::of(std::string_view("hello"));
    blob.size = 5;
    return client_.blob(blob, [&](std::span<const std::byte> data) -> Result<void> {
      out.append(reinterpret_cast<const char*>(data.data()), data.size());
      return {};
    });
  }
  FakeHttp http_;
  Client client_{http_, *oci::Reference::parse("docker.io/library/a:1"), {}};
};

constexpr auto challenge =
    R"(Bearer realm="https://auth.example/token",service="reg",scope="repository:library/a:pull")";

TEST_F(ClientTest, ManifestWithMediaTypeAndHubsHost) {
  http_.answers = {{200, {{"content-type", "application/x; charset=utf-8"}}, "{}"}};
  const auto manifest = client_.manifest("1");
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->media_type, "application/x");
  EXPECT_EQ(http_.requests[0].url, "https://registry-1.docker.io/v2/library/a/manifests/1");
}

TEST_F(ClientTest, FetchesATokenOnceAndKeepsIt) {
  http_.answers = {{401, {{"www-authenticate", challenge}}, ""},
                   {200, {}, R"({"token": "secret"})"},
                   {200, {}, "{}"},
                   {200, {}, "{}"}};
  ASSERT_TRUE(client_.manifest("1"));
  EXPECT_THAT(http_.requests[1].url, HasSubstr("https://auth.example/token?scope=repository:"));
  EXPECT_THAT(http_.requests[1].url, HasSubstr("service=reg"));
  EXPECT_EQ(http_.header(1, "Authorization"), "");
  EXPECT_EQ(http_.header(2, "Authorization"), "Bearer secret");
  ASSERT_TRUE(client_.manifest("1"));
  EXPECT_EQ(http_.requests.size(), 4U);
  EXPECT_EQ(http_.header(3, "Authorization"), "Bearer secret");
}

class LoggedInTest : public ClientTest {
 protected:
  FakeClock clock_;
  Client person_{http_,
                 *oci::Reference::parse("registry.example/team/app:1"),
                 {false, Credential{"me", "pass word", ""}, &clock_}};
};

TEST_F(LoggedInTest, SaysWhoItIsOnlyWhenAskedAndToTheRealm) {
  http_.answers = {{401, {{"www-authenticate", challenge}}, ""},
                   {200, {}, R"({"token": "t"})"},
                   {200, {}, "{}"}};
  ASSERT_TRUE(person_.manifest("1"));
  EXPECT_EQ(http_.header(0, "Authorization"), "");
  EXPECT_EQ(http_.header(1, "Authorization"), "Basic " + base64_encode("me:pass word"));
  EXPECT_EQ(http_.header(2, "Authorization"), "Bearer t");
}

TEST_F(ClientTest, TheCertificateGoesToTheRegistryAlone) {
  ClientOptions options;
  options.tls = {"authority", "certificate", "key"};
  Client client(http_, *oci::Reference::parse("registry.example/team/app:1"), options);
  http_.answers = {
      {401, {{"www-authenticate", challenge}}, ""},
      {200, {}, R"({"token": "t"})"},
      {200, {}, "{}"},
      {401, {{"www-authenticate", R"(Bearer realm="https://registry.example/t")"}}, ""},
      {200, {}, R"({"token": "t"})"},
      {200, {}, "{}"}};
  ASSERT_TRUE(client.manifest("1"));
  ASSERT_TRUE(client.manifest("1"));
  const auto& asked = http_.requests;
  EXPECT_EQ(asked[0].tls.certificate_pem, "certificate");
  EXPECT_EQ(asked[1].tls.certificate_pem, "");
  EXPECT_EQ(asked[1].tls.private_key_pem, "");
  EXPECT_EQ(asked[1].tls.ca_pem, "authority");
  EXPECT_EQ(asked[2].tls.private_key_pem, "key");
  EXPECT_EQ(asked[4].tls.certificate_pem, "certificate");
}

TEST_F(ClientTest, WhoWritesIsMorePatientThanWhoReads) {
  ClientOptions options;
  options.stall_timeout = std::chrono::seconds(7);
  options.push_stall_timeout = std::chrono::seconds(70);
  http_.answers = {{200, {}, "{}"}, {404, {}, ""}};
  ASSERT_TRUE(Client(http_, *oci::Reference::parse("r.example/a:1"), options).manifest("1"));
  EXPECT_EQ(http_.requests[0].stall_timeout, options.stall_timeout);
  UploadSettings settings;
  Uploader uploader(http_, *oci::Reference::parse("r.example/a:1"), options, settings);
  ASSERT_TRUE(uploader.has_blob(*Digest::parse(std::string("sha256:") + std::string(64, '1')), 1));
  EXPECT_EQ(http_.requests[1].stall_timeout, options.push_stall_timeout);
  EXPECT_GE(ClientOptions().push_stall_timeout, std::chrono::minutes(5));
}

TEST_F(ClientTest, ABlobThatMayNotBeTakenOverIsNotOneThatIsMissing) {
  UploadSettings settings;
  Uploader uploader(http_, *oci::Reference::parse("r.example/a:1"), {}, settings);
  const auto kind_of = [&](int status) {
    http_.answers = {{status, {}, ""}};
    const auto mounted =
        uploader.mount_blob(*Digest::parse(std::string("sha256:") + std::string(64, '1')), "b");
    return mounted ? ErrorKind::internal : mounted.error().kind;
  };
  EXPECT_EQ(kind_of(202), ErrorKind::not_found);
  EXPECT_EQ(kind_of(404), ErrorKind::not_found);
  EXPECT_EQ(kind_of(403), ErrorKind::untrusted);
  EXPECT_EQ(kind_of(503), ErrorKind::network);
}

TEST_F(LoggedInTest, ATokenThatRanOutIsFetchedAnew) {
  http_.answers = {{401, {{"www-authenticate", challenge}}, ""},
                   {200, {}, R"({"token": "one"})"},
                   {200, {}, "{}"},  // and then, in the middle of a long pull:
                   {401, {{"www-authenticate", challenge}}, ""},
                   {200, {}, R"({"token": "two"})"},
                   {200, {}, "hello"}};
  ASSERT_TRUE(person_.manifest("1"));
  oci::Descriptor blob;
  blob.digest = Digest::of(std::string_view("hello"));
  blob.size = 5;
  std::string out;
  ASSERT_TRUE(person_.blob(blob, [&](std::span<const std::byte> data) -> Result<void> {
    out.append(reinterpret_cast<const char*>(data.data()), data.size());
    return {};
  }));
  EXPECT_EQ(out, "hello");
  EXPECT_EQ(http_.header(5, "Authorization"), "Bearer two");
}

TEST_F(LoggedInTest, BasicIsAnsweredWithBasic) {
  http_.answers = {{401, {{"www-authenticate", "Basic realm=\"x\""}}, ""}, {200, {}, "{}"}};
  ASSERT_TRUE(person_.manifest("1"));
  EXPECT_EQ(http_.header(1, "Authorization"), "Basic " + base64_encode("me:pass word"));
}

TEST_F(LoggedInTest, ARefreshTokenGoesIntoTheBody) {
  Client client(http_, *oci::Reference::parse("registry.example/team/app:1"),
                {false, Credential{"", "", "re fresh"}, &clock_});
  http_.answers = {{401, {{"www-authenticate", challenge}}, ""},
                   {200, {}, R"({"access_token": "t"})"},
                   {200, {}, "{}"}};
  ASSERT_TRUE(client.manifest("1"));
  EXPECT_EQ(http_.requests[1].method, "POST");
  EXPECT_EQ(http_.requests[1].url, "https://auth.example/token");
  EXPECT_THAT(http_.requests[1].body, HasSubstr("refresh_token=re%20fresh"));
  EXPECT_EQ(http_.header(2, "Authorization"), "Bearer t");
}

TEST_F(LoggedInTest, ABusyRegistryIsAskedAgainAsItSays) {
  http_.answers = {{429, {{"retry-after", "7"}}, ""}, {503, {}, ""}, {200, {}, "{}"}};
  ASSERT_TRUE(person_.manifest("1"));
  EXPECT_EQ(clock_.uptime, std::chrono::seconds(7 + 2));
  http_.answers = {{429, {{"retry-after", "86400"}}, ""}, {200, {}, "{}"}};
  clock_.uptime = {};
  ASSERT_TRUE(person_.manifest("1"));
  EXPECT_EQ(clock_.uptime, std::chrono::minutes(2)) << "nobody waits a day";
}

TEST_F(LoggedInTest, PatienceEnds) {
  http_.answers.assign(5, {429, {}, ""});
  const auto manifest = person_.manifest("1");
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind, ErrorKind::network);
  EXPECT_EQ(http_.requests.size(), 5U);
  EXPECT_EQ(clock_.uptime, std::chrono::seconds(1 + 2 + 4 + 8));
}

TEST_F(LoggedInTest, ARefusalDoesNotShowTheSecret) {
  http_.answers.assign(2, {401, {{"www-authenticate", "Basic realm=\"x\""}}, ""});
  const auto manifest = person_.manifest("1");
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind, ErrorKind::untrusted);
  EXPECT_THAT(manifest.error().render(), ::testing::Not(HasSubstr("pass word")));
  EXPECT_THAT(manifest.error().hint, HasSubstr("log in again"));
}

TEST_F(ClientTest, RefusalIsUntrustedAndShowsNoToken) {
  http_.answers = {{401, {{"www-authenticate", challenge}}, ""},
                   {200, {}, R"({"access_token": "secret"})"},
                   {401, {{"www-authenticate", challenge}}, ""}};
  const auto manifest = client_.manifest("1");
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind, ErrorKind::untrusted);
  EXPECT_THAT(manifest.error().render(), ::testing::Not(HasSubstr("secret")));
}

TEST_F(ClientTest, TokensAreNotFetchedWithoutTls) {
  http_.answers = {{401, {{"www-authenticate", "Bearer realm=\"http://auth.example/\""}}, ""}};
  EXPECT_EQ(client_.manifest("1").error().kind, ErrorKind::untrusted);
}

TEST_F(ClientTest, OtherAnswersSayWhatToDo) {
  http_.answers = {{404, {}, R"({"errors":[{"code":"X","message":"no such tag"}]})"},
                   {429, {}, ""},
                   {500, {}, "<html>"}};
  const auto missing = client_.manifest("1");
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_THAT(missing.error().what, HasSubstr("no such tag"));
  EXPECT_THAT(client_.manifest("1").error().hint, HasSubstr("wait"));
  EXPECT_EQ(client_.manifest("1").error().kind, ErrorKind::network);
}

TEST_F(ClientTest, BrokenTransferGoesOnWhereItWas) {
  http_.answers = {{200, {}, "he", true}, {206, {}, "l"}, {206, {}, "llo"}};
  std::string out;
  ASSERT_TRUE(fetch(out));
  EXPECT_EQ(out, "hello");
  EXPECT_EQ(http_.header(1, "Range"), "bytes=2-2");
  EXPECT_EQ(http_.header(2, "Range"), "bytes=2-");
}

TEST_F(ClientTest, RegistryWithoutRangesStartsOverUnnoticed) {
  http_.answers = {{200, {}, "hel", true}, {200, {}, "hello"}, {200, {}, "hello"}};
  std::string out;
  ASSERT_TRUE(fetch(out));
  EXPECT_EQ(out, "hello");
  EXPECT_EQ(http_.header(2, "Range"), "");
}

TEST_F(ClientTest, GivesUpAfterFiveAttempts) {
  for (int i = 0; i < 9; ++i) http_.answers.push_back({200, {}, "", true});
  std::string out;
  const auto fetched = fetch(out);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::network);
  EXPECT_EQ(http_.requests.size(), 5U);
}

TEST(Challenge, Parses) {
  EXPECT_TRUE(parse_challenge("basic realm=\"x\"")->basic);
  const auto parsed = parse_challenge(challenge);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->realm, "https://auth.example/token");
  EXPECT_EQ(parsed->service, "reg");
  EXPECT_EQ(parsed->scope, "repository:library/a:pull");
  EXPECT_EQ(parse_challenge("bearer realm=https://a/,service=b")->service, "b");
  EXPECT_EQ(parse_challenge("Negotiate").error().kind, ErrorKind::unsupported);
  for (const auto* text :
       {"Bearer ", "Bearer realm", "Bearer realm=\"x", "Bearer realm=\"file:///\""}) {
    EXPECT_FALSE(parse_challenge(text)) << text;
  }
}

constexpr auto subject = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

std::string list_of(char digit) {
  return R"({"manifests": [{"mediaType": "m", "size": 1, "digest": "sha256:)" +
         std::string(64, digit) + R"("}]})";
}

TEST_F(ClientTest, ReferrersOfAllPages) {
  http_.answers = {
      {200, {{"link", "</v2/library/a/referrers/x?last=1>; rel=\"next\""}}, list_of('1')},
      {200, {}, list_of('2')}};
  const auto found = client_.referrers(*Digest::parse(subject));
  ASSERT_TRUE(found) << found.error().render();
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ((*found)[1].digest.hex(), std::string(64, '2'));
  EXPECT_EQ(http_.requests[0].url,
            std::string("https://registry-1.docker.io/v2/library/a/referrers/") + subject);
  EXPECT_EQ(http_.requests[1].url, "https://registry-1.docker.io/v2/library/a/referrers/x?last=1");
}

TEST_F(ClientTest, TheNextPageOfReferrersIsResolvedAsALink) {
  const auto page = std::string("https://registry-1.docker.io/v2/library/a/referrers/") + subject;
  for (const auto& [target, url] : std::map<std::string, std::string>{
           {"?n=2", page + "?n=2"},
           {"other", "https://registry-1.docker.io/v2/library/a/referrers/other"},
           {"http://registry-1.docker.io/v2/x", "https://registry-1.docker.io/v2/x"},
           {"//registry-1.docker.io/v2/x", "https://registry-1.docker.io/v2/x"}}) {
    http_.requests.clear();
    http_.answers = {{200, {{"link", "<" + target + ">; rel=\"next\""}}, list_of('1')},
                     {200, {}, list_of('2')}};
    const auto found = client_.referrers(*Digest::parse(subject));
    ASSERT_TRUE(found) << found.error().render();
    EXPECT_EQ(found->size(), 2U);
    EXPECT_EQ(http_.requests[1].url, url);
  }
}

TEST_F(ClientTest, AListOfReferrersThatCannotBeReadToItsEndIsAnError) {
  for (const std::string target : {"https://evil.example/v2/", "//evil.example/v2/",
                                   "https://registry-1.docker.io.evil.example/v2/"}) {
    http_.requests.clear();
    http_.answers = {{200, {{"link", "<" + target + ">; rel=\"next\""}}, list_of('1')}};
    const auto found = client_.referrers(*Digest::parse(subject));
    ASSERT_FALSE(found) << target;
    EXPECT_EQ(found.error().kind, ErrorKind::untrusted);
    EXPECT_EQ(http_.requests.size(), 1U);
  }
  const FakeHttp::Answer more{200, {{"link", "<?again>; rel=\"next\""}}, list_of('1')};
  http_.answers = {more, {404, {}, ""}};
  EXPECT_FALSE(client_.referrers(*Digest::parse(subject)));
  http_.answers = {more, {200, {}, "<html></html>"}};
  EXPECT_FALSE(client_.referrers(*Digest::parse(subject)));
  http_.answers.assign(200, more);
  const auto endless = client_.referrers(*Digest::parse(subject));
  ASSERT_FALSE(endless);
  EXPECT_THAT(endless.error().what, testing::HasSubstr("more than 100 pages"));
}

TEST_F(ClientTest, WithoutTheApiTheTagListsReferrers) {
  for (const auto& absent : {FakeHttp::Answer{404, {}, ""}, FakeHttp::Answer{400, {}, ""},
                             FakeHttp::Answer{405, {}, ""}, FakeHttp::Answer{501, {}, ""},
                             FakeHttp::Answer{200, {}, "<html>a page for people</html>"}}) {
    http_.requests.clear();
    http_.answers = {absent, {200, {}, list_of('3')}};
    const auto found = client_.referrers(*Digest::parse(subject));
    ASSERT_TRUE(found) << absent.status;
    EXPECT_EQ(found->size(), 1U);
    EXPECT_THAT(http_.requests[1].url,
                testing::EndsWith("/manifests/sha256-" + std::string(subject).substr(7)));
    http_.answers = {absent, {404, {}, ""}};
    EXPECT_TRUE(client_.referrers(*Digest::parse(subject))->empty());
  }
}

TEST_F(ClientTest, ARegistryThatCannotBeAskedIsNotOneWithoutReferrers) {
  for (const int status : {401, 403, 429, 500, 503}) {
    http_.answers = {{status, {}, ""}, {404, {}, ""}};
    const auto found = client_.referrers(*Digest::parse(subject));
    ASSERT_FALSE(found) << status;
    EXPECT_FALSE(found.error().hint.empty());
  }
}

}  // namespace
}  // namespace bedplate::registry

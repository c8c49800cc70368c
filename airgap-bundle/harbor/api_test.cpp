#include "airgap-bundle/harbor/api.hpp"

#include <deque>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/digest.hpp"

namespace bedplate::harbor {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Answers in the order given; status 0 is no answer.
class FakeHttp final : public HttpClient {
 public:
  Result<HttpResponse> send(const HttpRequest& request) override {
    requests.push_back(request);
    if (answers.empty()) return fail(ErrorKind::internal, "no answer left");
    auto answer = std::move(answers.front());
    answers.pop_front();
    if (answer.status == 0) return fail(ErrorKind::network, "connection lost");
    return answer;
  }
  std::string header(std::size_t i, const std::string& name) const {
    for (const auto& [key, value] : requests.at(i).headers) {
      if (key == name) return value;
    }
    return {};
  }
  std::deque<HttpResponse> answers;
  std::vector<HttpRequest> requests;
};

class HarborApi : public ::testing::Test {
 protected:
  static Target target() {
    Target out{"https://harbor.example", {}, "admin", "Harbor12345"};
    out.tls.ca_pem = "the authority";
    return out;
  }
  Error refused(int status, std::string body, const Call& call = {.path = "/robots"}) {
    http_.answers.assign(5, HttpResponse{status, {{"content-type", "text/html"}}, body});
    const auto answer = api_.expect(call, {200});
    EXPECT_FALSE(answer);
    return answer ? Error(ErrorKind::internal, "taken") : answer.error();
  }
  FakeHttp http_;
  FakeClock clock_;
  Api api_{http_, target(), clock_};
};

TEST_F(HarborApi, SaysWhoItIsInTheHeaderAndTrustsTheAuthorityGiven) {
  http_.answers = {{200, {}, "{}"}};
  ASSERT_TRUE(api_.object({.method = "PUT",
                           .path = "/projects/k8s",
                           .query = {{"q", "Level=project,ProjectID=1"}},
                           .body = Json{{"a", 1}},
                           .by_name = true}));
  const auto& request = http_.requests.at(0);
  EXPECT_EQ(request.url,
            "https://harbor.example/api/v2.0/projects/k8s?q=Level%3Dproject%2CProjectID%3D1");
  EXPECT_EQ(http_.header(0, "Authorization"), "Basic " + base64_encode("admin:Harbor12345"));
  EXPECT_EQ(http_.header(0, "Content-Type"), "application/json");
  EXPECT_EQ(http_.header(0, "X-Is-Resource-Name"), "true");
  EXPECT_EQ(http_.header(0, "Cookie"), "");
  EXPECT_EQ(request.tls.ca_pem, "the authority");
  EXPECT_EQ(request.body, R"({"a":1})");
}

TEST_F(HarborApi, EachRefusalHasItsKindAndAHint) {
  const auto error = [&](int status) {
    return refused(status, R"({"errors":[{"code":"CODE","message":"what Harbor says"}]})");
  };
  EXPECT_EQ(error(401).kind, ErrorKind::untrusted);
  EXPECT_THAT(error(401).hint, HasSubstr("password"));
  EXPECT_EQ(error(403).kind, ErrorKind::untrusted);
  EXPECT_THAT(error(403).hint, HasSubstr("administrator"));
  EXPECT_EQ(error(404).kind, ErrorKind::not_found);
  EXPECT_EQ(error(409).kind, ErrorKind::conflict);
  EXPECT_EQ(error(412).kind, ErrorKind::conflict);
  EXPECT_EQ(error(413).kind, ErrorKind::unsupported);
  EXPECT_THAT(error(413).hint, HasSubstr("client_max_body_size"));
  EXPECT_EQ(error(429).kind, ErrorKind::network);
  EXPECT_EQ(error(400).kind, ErrorKind::invalid);
  EXPECT_EQ(error(422).kind, ErrorKind::invalid);
  EXPECT_EQ(error(500).kind, ErrorKind::network);
  EXPECT_EQ(error(503).kind, ErrorKind::network);
  EXPECT_EQ(error(409).what, "Harbor answered 409 to GET /robots: CODE: what Harbor says");
}

TEST_F(HarborApi, ErrorsThatAreNotHarborsAreNotQuoted) {
  EXPECT_EQ(refused(500, "<html>\x1b[2J secret </html>").what,
            "Harbor answered 500 to GET /robots: with something that is not Harbor's (text/html)");
  EXPECT_EQ(refused(500, "").what, "Harbor answered 500 to GET /robots");
  for (const auto* body : {R"({"errors":[]})", R"({"errors":[1]})", R"([])", R"({"error":"x"})"}) {
    EXPECT_THAT(refused(500, body).what, HasSubstr("answered 500 to GET /robots")) << body;
  }
}

TEST_F(HarborApi, WhatAServerSaysNeitherMovesTheCursorNorShowsASecret) {
  api_.hide("the robot's secret");
  const auto error = refused(
      400, R"({"errors":[{"code":"X","message":"\u001b[2J Harbor12345 and the robot's secret"}]})");
  EXPECT_THAT(error.what, Not(HasSubstr("\x1b")));
  EXPECT_THAT(error.what, Not(HasSubstr("Harbor12345")));
  EXPECT_THAT(error.what, Not(HasSubstr("robot's secret")));
  EXPECT_THAT(error.what, HasSubstr("… and …"));
}

TEST_F(HarborApi, AnErrorCanAlwaysBeWrittenAsJson) {
  for (int length = 295; length < 305; ++length) {
    const auto text = std::string(static_cast<std::size_t>(length), 'x') + "ä";
    const auto error =
        refused(400, Json{{"errors", Json::array({{{"code", "C"}, {"message", text}}})}}.dump());
    EXPECT_FALSE(error.to_json().dump().empty());
  }
}

TEST_F(HarborApi, ARedirectIsNotFollowedWithABody) {
  http_.answers = {{308, {{"location", "https://elsewhere.example/"}}, ""}};
  const auto answer =
      api_.expect({.method = "PUT", .path = "/quotas/1", .body = Json::object()}, {200});
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().what, HasSubstr("elsewhere: https://elsewhere.example/"));
  EXPECT_THAT(answer.error().hint, HasSubstr("external_url"));
}

TEST_F(HarborApi, AMalformedAnswerIsRefusedWithoutBeingQuoted) {
  for (const auto* body : {R"({"secret": "geheim)", "geheim", "[]", "", "null", "\"geheim\""}) {
    http_.answers = {{200, {}, body}};
    const auto answer = api_.object({.method = "PATCH", .path = "/robots/1"});
    ASSERT_FALSE(answer) << body;
    EXPECT_EQ(answer.error().kind, ErrorKind::invalid);
    EXPECT_THAT(answer.error().render(), Not(HasSubstr("geheim")));
    EXPECT_THAT(answer.error().hint, HasSubstr("harbor check"));
  }
  for (const auto* body : {"{}", "[1]", "", "[[", "\"\""}) {
    http_.answers = {{200, {}, body}};
    EXPECT_FALSE(api_.list({.path = "/robots"})) << body;
  }
}

TEST_F(HarborApi, EveryPageOfAList) {
  http_.answers = {
      {200, {{"x-total-count", "3"}, {"link", "</x>; rel=\"next\""}}, R"([{"id":1},{"id":2}])"},
      {200, {{"x-total-count", "3"}, {"link", "</x>; rel=\"prev\""}}, R"([{"id":3}])"}};
  const auto all = api_.list({.path = "/robots", .query = {{"q", "a"}}});
  ASSERT_TRUE(all) << all.error().render();
  EXPECT_EQ(all->size(), 3U);
  EXPECT_THAT(http_.requests[0].url, HasSubstr("/robots?q=a&page=1&page_size=100"));
  EXPECT_THAT(http_.requests[1].url, HasSubstr("/robots?q=a&page=2&page_size=100"));
}

TEST_F(HarborApi, ACountAloneIsEnoughAndALinkAloneToo) {
  http_.answers = {{200, {{"x-total-count", "2"}}, R"([{"id":1}])"},
                   {200, {{"x-total-count", "2"}}, R"([{"id":2}])"}};
  EXPECT_EQ(api_.list({.path = "/robots"})->size(), 2U);
  http_.answers = {{200, {{"link", "</x>; rel=\"next\""}}, R"([{"id":1}])"}, {200, {}, "[]"}};
  EXPECT_EQ(api_.list({.path = "/robots"})->size(), 1U);
  http_.answers = {{200, {{"x-total-count", "0"}}, "null"}};
  EXPECT_EQ(api_.list({.path = "/robots"})->size(), 0U);
}

TEST_F(HarborApi, AListThatIsShorterThanItsCountIsRefused) {
  http_.answers = {{200, {{"x-total-count", "2"}}, R"([{"id":1}])"},
                   {200, {{"x-total-count", "2"}}, "[]"}};
  const auto all = api_.list({.path = "/robots"});
  ASSERT_FALSE(all);
  EXPECT_THAT(all.error().what, HasSubstr("1 of 2"));
  http_.answers = {{200, {{"x-total-count", "many"}}, "[]"}};
  EXPECT_FALSE(api_.list({.path = "/robots"}));
}

TEST_F(HarborApi, ABusyHarborIsAskedAgainAsItSays) {
  http_.answers = {{429, {{"retry-after", "7"}}, ""}, {503, {}, ""}, {0, {}, ""}, {200, {}, "{}"}};
  ASSERT_TRUE(api_.object({.path = "/configurations"}));
  EXPECT_EQ(clock_.uptime, std::chrono::seconds(7 + 2 + 4));
  http_.answers = {{429, {{"retry-after", "86400"}}, ""}, {200, {}, "{}"}};
  clock_.uptime = {};
  ASSERT_TRUE(api_.object({.path = "/configurations"}));
  EXPECT_EQ(clock_.uptime, std::chrono::minutes(2)) << "nobody waits a day";
}

TEST_F(HarborApi, WhatCreatesIsRepeatedOnlyWhenItSurelyWasNotDone) {
  const Call create{.method = "POST", .path = "/projects", .body = Json::object()};
  http_.answers = {{429, {}, ""}, {201, {}, ""}};
  EXPECT_TRUE(api_.expect(create, {201}));
  http_.requests.clear();
  http_.answers = {{502, {}, ""}, {201, {}, ""}};
  EXPECT_FALSE(api_.expect(create, {201}));
  http_.answers = {{0, {}, ""}, {201, {}, ""}};
  const auto lost = api_.expect(create, {201});
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().hint, HasSubstr("nothing is done twice"));
  EXPECT_EQ(http_.requests.size(), 2U);
}

TEST_F(HarborApi, PatienceEnds) {
  http_.answers.assign(9, HttpResponse{429, {}, ""});
  EXPECT_EQ(api_.expect({.path = "/robots"}, {200}).error().kind, ErrorKind::network);
  EXPECT_EQ(http_.requests.size(), 5U);
  EXPECT_EQ(clock_.uptime, std::chrono::seconds(1 + 2 + 4 + 8));
}

}  // namespace
}  // namespace bedplate::harbor

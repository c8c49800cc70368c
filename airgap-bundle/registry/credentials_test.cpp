#include "airgap-bundle/registry/credentials.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/digest.hpp"
#include "core/file.hpp"

namespace bedplate::registry {
namespace {

using testing::HasSubstr;

class CredentialsTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    ASSERT_TRUE(write_file_atomic(folder_.path() / name, text, mode));
  }
  Credentials read() {
    auto out =
        Credentials::read({folder_.path() / "auth.json", folder_.path() / "config.json"}, runner_);
    EXPECT_TRUE(out);
    return out ? *out : Credentials();
  }
  /// "user:secret", or what is wrong.
  std::string login(const std::string& registry, const std::string& repository = "team/app") {
    const auto found = read().find(registry, repository);
    if (!found) return found.error().what;
    if (!*found) return "nobody";
    return (*found)->user + ":" + (*found)->secret + (*found)->identity_token;
  }

  TemporaryDirectory folder_ = *TemporaryDirectory::create("bedplate-credentials");
  SystemProcessRunner runner_;
};

std::string entry(const std::string& key, const std::string& login) {
  return "{\"auths\": {\"" + key + "\": {\"auth\": \"" + base64_encode(login) + "\"}}}";
}

TEST_F(CredentialsTest, NoFileIsNobody) {
  EXPECT_EQ(login("registry.example"), "nobody");
}

TEST_F(CredentialsTest, ByHostAndByTheLongestPath) {
  write("auth.json", R"({"auths": {"registry.example": {"auth": ")" + base64_encode("a:1") +
                         R"("}, "registry.example/team": {"auth": ")" + base64_encode("b:2:3") +
                         R"("}}})");
  EXPECT_EQ(login("registry.example", "other/app"), "a:1");
  EXPECT_EQ(login("registry.example", "team/app"), "b:2:3");
  EXPECT_EQ(login("registry.example", "teams/app"), "a:1");
  EXPECT_EQ(login("registry.example:5000"), "nobody");
}

TEST_F(CredentialsTest, DockerHubAndUrlsOfOld) {
  write("config.json", entry("https://index.docker.io/v1/", "hub:pw"));
  EXPECT_EQ(login("docker.io"), "hub:pw");
  write("config.json", entry("https://registry.example/v1/", "old:pw"));
  EXPECT_EQ(login("registry.example"), "old:pw");
}

TEST_F(CredentialsTest, TheFirstFileWins) {
  write("auth.json", entry("registry.example", "first:1"));
  write("config.json", entry("registry.example", "second:2"));
  EXPECT_EQ(login("registry.example"), "first:1");
}

TEST_F(CredentialsTest, AnIdentityTokenTakesThePlaceOfASecret) {
  write("config.json", R"({"auths": {"registry.example": {"identitytoken": "refresh"}}})");
  EXPECT_EQ(login("registry.example"), ":refresh");
}

TEST_F(CredentialsTest, HelpersAreAskedOnStandardInput) {
  write("docker-credential-test",
        "#!/bin/sh\nread key\n[ \"$1\" = get ] || exit 2\n"
        "[ \"$key\" = registry.example ] || { echo 'credentials not found'; exit 1; }\n"
        "echo '{\"ServerURL\": \"x\", \"Username\": \"helped\", \"Secret\": \"pw\"}'\n",
        0755);
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", (folder_.path().string() + ":" + path).c_str(), 1);
  write("config.json", R"({"credHelpers": {"registry.example": "test"}, "auths": {}})");
  EXPECT_EQ(login("registry.example"), "helped:pw");
  EXPECT_EQ(login("other.example"), "nobody");
  write("config.json", R"({"credsStore": "test", "auths": {"registry.example": {}}})");
  EXPECT_EQ(login("registry.example"), "helped:pw");
  EXPECT_EQ(login("other.example"), "nobody");
  write("config.json", R"({"credsStore": "absent"})");
  EXPECT_THAT(login("registry.example"), HasSubstr("docker-credential-absent"));
  write("config.json", R"({"credsStore": "../../tmp/evil"})");
  EXPECT_THAT(login("registry.example"), HasSubstr("is not a credential helper's name"));
  ::setenv("PATH", path.c_str(), 1);
}

TEST_F(CredentialsTest, WhatCannotBeReadIsSaidWithoutItsContent) {
  write("config.json", R"({"auths": {"registry.example": {"auth": "c2VjcmV0"}}})");  // "secret"
  EXPECT_THAT(login("registry.example"), HasSubstr("the login for registry.example"));
  EXPECT_THAT(login("registry.example"), testing::Not(HasSubstr("secret")));
  write("config.json", "{ secret");
  const auto out = Credentials::read({folder_.path() / "config.json"}, runner_);
  ASSERT_FALSE(out);
  EXPECT_THAT(out.error().render(), HasSubstr("config.json"));
}

}  // namespace
}  // namespace bedplate::registry

#include "airgap-bundle/harbor/secrets.hpp"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/digest.hpp"
#include "core/json.hpp"

namespace bedplate::harbor {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class HarborSecrets : public ::testing::Test {
 protected:
  HarborSecrets() {
    spec_.url = "https://harbor.example";
    spec_.registry = "harbor.example";
    robot_.name = "pull";
    robot_.secret_name = "harbor-pull";
    robot_.namespaces = {"default", "apps"};
  }
  std::string text(const std::string& secret = "Secret1x") const {
    return manifest_text(spec_, robot_, "robot$pull", 12, secret);
  }
  static mode_t mode_of(const fs::path& path) {
    struct stat found{};
    EXPECT_EQ(::stat(path.c_str(), &found), 0);
    return found.st_mode & 0777;
  }
  HarborSpec spec_;
  RobotSpec robot_;
  TemporaryDirectory temporary_ = *TemporaryDirectory::create("harbor");
  SecretFolder folder_{temporary_.path() / "secrets"};
};

TEST_F(HarborSecrets, AManifestForEachNamespaceThatKubernetesAndDockerUnderstand) {
  const auto list = Json::parse(text());
  EXPECT_EQ(list["kind"], "List");
  ASSERT_EQ(list["items"].size(), 2U);
  const auto& item = list["items"][1];
  EXPECT_EQ(item["kind"], "Secret");
  EXPECT_EQ(item["type"], "kubernetes.io/dockerconfigjson");
  EXPECT_EQ(item["metadata"]["name"], "harbor-pull");
  EXPECT_EQ(item["metadata"]["namespace"], "apps");
  const auto config =
      Json::parse(*base64_decode(item["data"][".dockerconfigjson"].get<std::string>()));
  EXPECT_EQ(config["auths"]["harbor.example"]["username"], "robot$pull");
  EXPECT_EQ(config["auths"]["harbor.example"]["password"], "Secret1x");
  EXPECT_EQ(*base64_decode(config["auths"]["harbor.example"]["auth"].get<std::string>()),
            "robot$pull:Secret1x");
}

TEST_F(HarborSecrets, WhatIsWrittenIsReadAndNobodyElseMay) {
  EXPECT_TRUE(folder_.read()->empty()) << "no folder yet";
  ASSERT_TRUE(folder_.lock());
  ASSERT_TRUE(folder_.write("k8s+pull", text()));
  EXPECT_EQ(mode_of(folder_.path()), 0700);
  EXPECT_EQ(mode_of(folder_.path() / "k8s+pull.json"), 0600);
  const auto all = folder_.read();
  ASSERT_TRUE(all && all->contains("k8s+pull"));
  const auto& held = all->at("k8s+pull");
  EXPECT_EQ(held.secret, "Secret1x");
  EXPECT_EQ(held.robot, 12);
  EXPECT_EQ(held.url, "https://harbor.example");
  EXPECT_EQ(held.text, text());
  EXPECT_TRUE(held.only_owner);
  fs::permissions(folder_.path() / "k8s+pull.json", fs::perms::group_read, fs::perm_options::add);
  EXPECT_FALSE(folder_.read()->at("k8s+pull").only_owner);
}

TEST_F(HarborSecrets, FilesThatAreNotOursAreNeitherReadNorReplacedNorRemoved) {
  ASSERT_TRUE(folder_.lock());
  for (const auto* content : {"", "{", "[]", "{}", R"({"items":[]})", R"({"items":[1]})",
                              R"({"items":[{"metadata":{"annotations":
                                 {"dev.bedplate.harbor-robot-id":"x"}}}]})"}) {
    ASSERT_TRUE(write_file_atomic(folder_.path() / "pull.json", content));
    EXPECT_TRUE(folder_.read()->empty()) << content;
    const auto written = folder_.write("pull", text());
    ASSERT_FALSE(written) << content;
    EXPECT_EQ(written.error().kind, ErrorKind::conflict);
    ASSERT_TRUE(folder_.remove("pull", spec_.url));
    EXPECT_EQ(*read_file(folder_.path() / "pull.json"), content);
  }
}

TEST_F(HarborSecrets, OursIsReplacedAndRemoved) {
  ASSERT_TRUE(folder_.lock());
  ASSERT_TRUE(folder_.write("pull", text()));
  ASSERT_TRUE(folder_.write("pull", text("Another1")));
  EXPECT_EQ(folder_.read()->at("pull").secret, "Another1");
  ASSERT_TRUE(folder_.remove("pull", "https://another.example"));
  EXPECT_TRUE(fs::exists(folder_.path() / "pull.json")) << "the robot is of another Harbor";
  ASSERT_TRUE(folder_.remove("pull", spec_.url));
  EXPECT_FALSE(fs::exists(folder_.path() / "pull.json"));
  EXPECT_TRUE(folder_.remove("pull", spec_.url)) << "twice";
}

TEST_F(HarborSecrets, OneAtATime) {
  ASSERT_TRUE(folder_.lock());
  SecretFolder other(folder_.path());
  const auto locked = other.lock();
  ASSERT_FALSE(locked);
  EXPECT_EQ(locked.error().kind, ErrorKind::conflict);
}

TEST_F(HarborSecrets, RemembersWhichSecretWasGivenWithoutKeepingIt) {
  ASSERT_TRUE(folder_.lock());
  EXPECT_FALSE(folder_.remembers("client", "geheim"));
  ASSERT_TRUE(folder_.remember("client", "geheim"));
  EXPECT_TRUE(folder_.remembers("client", "geheim"));
  EXPECT_FALSE(folder_.remembers("client", "Geheim"));
  EXPECT_FALSE(folder_.remembers("other", "geheim"));
  for (const auto& entry : fs::directory_iterator(folder_.path())) {
    EXPECT_THAT(*read_file(entry.path()), Not(HasSubstr("geheim")));
  }
  EXPECT_TRUE(folder_.read()->empty()) << "the record is no secret of a robot";
}

TEST_F(HarborSecrets, ASourceIsAFileBesideTheDocumentOrAVariable) {
  const auto document = temporary_.path() / "harbor.yaml";
  ASSERT_TRUE(write_file_atomic(temporary_.path() / "password", "geheim\r\n"));
  EXPECT_EQ(*read_source({"password", ""}, document), "geheim");
  ASSERT_TRUE(write_file_atomic(temporary_.path() / "empty", "\n"));
  EXPECT_EQ(read_source({"empty", ""}, document).error().kind, ErrorKind::invalid);
  EXPECT_EQ(read_source({"missing", ""}, document).error().kind, ErrorKind::not_found);
  ::setenv("BEDPLATE_TEST_PASSWORD", "from the environment", 1);
  EXPECT_EQ(*read_source({"", "BEDPLATE_TEST_PASSWORD"}, document), "from the environment");
  ::unsetenv("BEDPLATE_TEST_PASSWORD");
  EXPECT_EQ(read_source({"", "BEDPLATE_TEST_PASSWORD"}, document).error().kind,
            ErrorKind::not_found);
}

}  // namespace
}  // namespace bedplate::harbor

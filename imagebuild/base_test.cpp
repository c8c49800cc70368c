#include "imagebuild/base.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/process_fake.hpp"

namespace bedplate::image {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

TEST(Base, SourcesAreSuiteUpdatesAndSecurity) {
  BaseSpec spec;
  spec.mirror = "http://m/debian";
  spec.security_mirror = "http://m/security";
  EXPECT_EQ(sources_list(spec),
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m/debian trixie"
            " main non-free-firmware\n"
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m/debian"
            " trixie-updates main non-free-firmware\n"
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m/security"
            " trixie-security main non-free-firmware\n");
}

TEST(Base, CommandLine) {
  FakeProcessRunner runner;
  Workshop shop{runner, nullptr, "/cache", {}, true};
  BaseSpec spec;
  spec.packages = {"a", "b"};
  spec.path_excludes = {"/usr/share/doc/*"};
  EXPECT_THAT(mmdebstrap_command(shop, spec, "/setup", "/out.tar"),
              ElementsAre("mmdebstrap", "--mode=root", "--variant=apt", "--include=a,b",
                          "--aptopt=APT::Install-Recommends \"false\"",
                          "--aptopt=Acquire::Languages \"none\"", "--aptopt=Acquire::Retries \"3\"",
                          "--dpkgopt=path-exclude=/usr/share/doc/*",
                          "--customize-hook=/setup/base/finish.sh", "--skip=cleanup",
                          "--format=tar", "trixie", "/out.tar", "-"));
  shop.root = false;
  EXPECT_THAT(mmdebstrap_command(shop, spec, "/setup", "/out.tar"), Contains("--mode=unshare"));
}

TEST(Base, HasNoWayToLogIn) {
  const auto spec = default_base_spec();
  ASSERT_TRUE(spec);
  for (const auto* package : {"openssh-server", "login", "sudo", "systemd-resolved"}) {
    EXPECT_THAT(spec->packages, Not(Contains(package)));
  }
}

}  // namespace
}  // namespace bedplate::image

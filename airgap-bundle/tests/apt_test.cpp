// Debian packages in a bundle, in the hands of the real apt. Needs Debian's mirror, or one that
// apt's own proxy settings lead to.

#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/programs.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class AptTest : public BundleTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    ASSERT_TRUE(program("apt-get") && program("dpkg-deb"));
    // As root, apt reads as a user of its own.
    ASSERT_EQ(::chmod(folder().c_str(), 0755), 0);
    cache_ = folder() / "cache";
    runner_ = &system_;
    specify("base: none");
  }

  void specify(const std::string& more) {
    spec_ = fmt::format(
        "kind: Bundle\nname: a\nversion: '1'\npackages:\n  - name: site-tools\n    suite: {}\n"
        "    packages: [jq, tcpdump]\n    {}\n",
        GetParam(), more);
  }

  Result<collect::Lock> resolve() {
    BP_TRY(const auto spec, collect::parse_spec(spec_, "bundle.yaml"));
    collect::Fetching fetching;
    fetching.cache = cache_;
    return collect::resolve(spec, folder(), "", system_, nullptr, fetching);
  }

  static const collect::LockedPackage* find(const collect::Lock& lock, const std::string& name) {
    const auto& packages = lock.packages.at("apt/site-tools").packages;
    const auto found = std::ranges::find(packages, name, &collect::LockedPackage::name);
    return found == packages.end() ? nullptr : &*found;
  }

  fs::path repository() const { return folder() / "apt"; }
  fs::path index() const {
    return repository() / "dists" / GetParam() / "main/binary-amd64/Packages";
  }

  /// An apt that knows the extracted repository and nothing else, on a machine that has nothing.
  ProcessResult apt(std::vector<std::string> words) {
    const auto root = folder() / "target";
    for (const auto* part : {"etc", "state/lists/partial", "cache/archives/partial"}) {
      fs::create_directories(root / part);
    }
    write(root / "status", "");
    write(root / "etc/sources.list",
          fmt::format("deb [trusted=yes] file:{} {} main\n", repository().string(), GetParam()));
    write(root / "apt.conf",
          fmt::format("Dir \"{0}/\";\nDir::Etc \"etc\";\nDir::State \"state\";\nDir::State::status "
                      "\"{0}/status\";\nDir::Cache \"cache\";\nAPT::Architecture \"amd64\";\n"
                      "APT::Architectures {{ \"amd64\"; }};\nAPT::Update::Error-Mode \"any\";\n"
                      "APT::Install-Recommends \"false\";\nDebug::NoLocking \"true\";\n",
                      root.string()));
    Command command;
    command.argv = std::move(words);
    command.environment = {{"APT_CONFIG", (root / "apt.conf").string()}, {"LC_ALL", "C.UTF-8"}};
    auto result = system_.run(command);
    EXPECT_TRUE(result);
    return result ? *result : ProcessResult{};
  }

  void make_repository() {
    const auto lock = resolve();
    ASSERT_OK(lock);
    lock_ = *lock;
    create(file());
    const auto reader = open(file());
    ASSERT_OK(reader);
    ASSERT_OK(reader->verify(nullptr));
    ASSERT_OK(reader->extract("apt/site-tools", repository(), nullptr));
  }

  SystemProcessRunner system_;
};

TEST_P(AptTest, ATargetWithNothingElseInstallsTheLockedVersions) {
  make_repository();
  auto done = apt({"apt-get", "update"});
  ASSERT_EQ(done.status, 0) << done.err;
  done = apt({"apt-get", "install", "-s", "jq", "tcpdump"});
  ASSERT_EQ(done.status, 0) << done.out << done.err;
  for (const auto& package : lock_->packages.at("apt/site-tools").packages) {
    EXPECT_THAT(done.out, HasSubstr(fmt::format("Inst {} ({} ", package.name, package.version)));
  }
  done = apt({"apt-get", "install", "-y", "--download-only", "jq", "tcpdump"});
  EXPECT_EQ(done.status, 0) << done.err;

  const auto again = resolve();
  ASSERT_OK(again);
  EXPECT_EQ(again->to_text(), lock_->to_text());
}

TEST_P(AptTest, WhatIsMissingOrDamagedIsSeen) {
  make_repository();
  const auto packages = *read_file(index());
  const auto at = packages.find("Package: libjq1\n");
  ASSERT_NE(at, std::string::npos);
  auto fewer = packages;
  fewer.erase(at, packages.find("\n\n", at) + 2 - at);
  write(index(), fewer);
  auto done = apt({"apt-get", "update"});
  EXPECT_NE(done.status, 0);
  EXPECT_THAT(done.err, HasSubstr("size")) << "the index is not the one in Release";

  // As if it had been made without that package.
  const auto release = index().parent_path().parent_path().parent_path() / "Release";
  auto text = *read_file(release);
  text.replace(text.find(Digest::of(packages).hex()), 64, Digest::of(fewer).hex());
  const auto size = fmt::format(" {} main", packages.size());
  text.replace(text.find(size), size.size(), fmt::format(" {} main", fewer.size()));
  write(release, text);
  done = apt({"apt-get", "update"});
  ASSERT_EQ(done.status, 0) << done.err;
  done = apt({"apt-get", "install", "-s", "jq"});
  EXPECT_NE(done.status, 0);
  EXPECT_THAT(done.out, HasSubstr("libjq1"));

  flip(repository() / find(*lock_, "tcpdump")->path, 5000);
  done = apt({"apt-get", "install", "-y", "--download-only", "tcpdump"});
  EXPECT_NE(done.status, 0);
  EXPECT_THAT(done.err, HasSubstr("Hash Sum mismatch"));
}

TEST_P(AptTest, WhatTheTargetHasIsNotCarried) {
  specify("base: minbase");
  const auto small = resolve();
  ASSERT_OK(small);
  EXPECT_NE(find(*small, "jq"), nullptr);
  EXPECT_EQ(find(*small, "libc6"), nullptr);

  specify("base: [libonig5]");
  const auto listed = resolve();
  ASSERT_OK(listed);
  EXPECT_EQ(find(*listed, "libonig5"), nullptr);
  EXPECT_EQ(find(*listed, "libc6"), nullptr) << "libonig5 needs it";
  EXPECT_NE(find(*listed, "libjq1"), nullptr);

  write(folder() / "status",
        "Package: libonig5\nStatus: install ok installed\nArchitecture: amd64\nVersion: 99\n"
        "Maintainer: a\nDescription: b\n");
  specify("installed: status");
  const auto given = resolve();
  ASSERT_OK(given);
  EXPECT_EQ(find(*given, "libonig5"), nullptr);
  EXPECT_NE(find(*given, "libc6"), nullptr);
}

TEST_P(AptTest, UnknownPackagesAndUnknownSignersAreRefused) {
  specify("packages: [no-such-package-as-this]");
  spec_.erase(spec_.find("    packages: [jq"), std::string("    packages: [jq, tcpdump]\n").size());
  const auto unknown = resolve();
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, ErrorKind::not_found);
  EXPECT_THAT(unknown.error().what, HasSubstr("no-such-package-as-this"));

  specify("keyring: /usr/share/keyrings/debian-archive-removed-keys.gpg");
  const auto other = resolve();
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::untrusted) << other.error().render();
}

TEST_P(AptTest, AVersionThatIsGoneIsNamed) {
  specify("base: minbase");
  const auto lock = resolve();
  ASSERT_OK(lock);
  lock_ = *lock;
  auto& jq = lock_->packages.at("apt/site-tools").packages.front();
  jq.path = "pool/main/j/jq/jq_0.0.1-1_amd64.deb";
  const auto made = try_create(file());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::not_found);
  EXPECT_THAT(made.error().what, AllOf(HasSubstr(jq.name), HasSubstr(jq.version)));
  EXPECT_THAT(made.error().hint, HasSubstr("bundle resolve"));
}

INSTANTIATE_TEST_SUITE_P(Debian, AptTest, ::testing::Values("bookworm", "trixie"),
                         [](const auto& suite) { return std::string(suite.param); });

}  // namespace
}  // namespace bedplate::bundle_test

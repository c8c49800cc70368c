#include "airgap-bundle/collect/packages.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "airgap-bundle/collect/apt.hpp"
#include "airgap-bundle/collect/lock.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "core/process_fake.hpp"

namespace bedplate::collect {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view sum = "7350392f700e20e46b7ae174a57f54e4ea106dd559753646d629b4e618bf2bff";

std::string uri_line(const std::string& url, const std::string& file) {
  return fmt::format("'{}' {} 78900 SHA256:{}\n", url, file, sum);
}

TEST(Apt, ReadsWhatItWouldFetch) {
  const auto got = parse_uris(
      "Reading package lists...\n" +
      uri_line("http://m.example/d/pool/main/z/zlib/zlib1g_1.3%2bdfsg-1_amd64.deb",
               "zlib1g_1%3a1.3+dfsg-1_amd64.deb") +
      uri_line("http://m.example/d/pool/main/a/audit/libaudit-common_4-1%7edeb13_all.deb",
               "libaudit-common_1%3a4-1~deb13_all.deb"));
  ASSERT_OK(got);
  ASSERT_EQ(got->size(), 2U);
  const auto& package = (*got)[1];
  EXPECT_EQ((*got)[0].name, "libaudit-common");
  EXPECT_EQ((*got)[0].architecture, "all");
  EXPECT_EQ(package.name, "zlib1g");
  EXPECT_EQ(package.version, "1:1.3+dfsg-1");
  EXPECT_EQ(package.architecture, "amd64");
  EXPECT_EQ(package.size, 78900U);
  EXPECT_EQ(package.digest.hex(), sum);
}

TEST(Apt, APackageWithoutSha256IsRefused) {
  const auto got = parse_uris("'http://m.example/a_1_all.deb' a_1_all.deb 1 MD5Sum:8c82dcf8\n");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::unsupported);
  EXPECT_FALSE(parse_uris("'http://m.example/a.deb' a.deb 1 SHA256:" + std::string(sum) + "\n"));
  EXPECT_FALSE(parse_uris("'http://m.example/a_1_all.deb\n"));
}

std::string problem(const std::string& packages) {
  const auto parsed = parse_spec(
      "kind: Bundle\nname: a\nversion: '1'\npackages:\n  - {" + packages + "}\n", "bundle.yaml");
  return parsed ? "none" : parsed.error().render();
}

TEST(PackagesSpec, WhatASpecificationMayNotSay) {
  EXPECT_EQ(problem("name: a, suite: trixie, packages: [g++, 'jq=1:1.7~x', libstdc++6]"), "none");
  EXPECT_THAT(problem("name: a, suite: sid, packages: [jq]"), HasSubstr("bookworm"));
  EXPECT_THAT(problem("name: a, suite: trixie"), HasSubstr("at least one package"));
  for (const auto* word : {"-oDir=/x", "jq-", "j", "jq*", "?essential", "jq=", "jq/sid", "a b"}) {
    EXPECT_THAT(problem(fmt::format("name: a, suite: trixie, packages: ['{}']", word)),
                HasSubstr("no package"))
        << word;
  }
  EXPECT_THAT(problem("name: a, suite: trixie, packages: [jq], base: medium"),
              HasSubstr("minbase"));
  EXPECT_THAT(problem("name: a, suite: trixie, packages: [jq], base: none, installed: status"),
              HasSubstr("beside 'installed'"));
  EXPECT_THAT(problem("name: a, suite: trixie, packages: [jq], installed: status, "
                      "architectures: [amd64, arm64]"),
              HasSubstr("one architecture"));
  EXPECT_THAT(problem("name: a, suite: trixie, packages: [jq], mirror: 'ftp://m.example/d'"),
              HasSubstr("http(s)://"));
  EXPECT_THAT(problem("name: a, suite: trixie, packages: [jq], mirror: \"http://m/d\\nTrusted: "
                      "yes\""),
              HasSubstr("http(s)://"));
  EXPECT_THAT(problem("name: a, suite: trixie, packages: [jq], components: ['main contrib']"),
              HasSubstr("no component"));
  EXPECT_THAT(problem("name: a, suite: trixie, packages: [jq]}\n  - {name: a, suite: trixie, "
                      "packages: [jq]"),
              HasSubstr("twice"));
}

TEST(Apt, TakesOverHowServersAreReachedAndNothingElse) {
  const auto taken = network_settings(
      "APT::Update::Post-Invoke:: \"rm -rf /\";\n"
      "Acquire::http::Proxy \"http://proxy.example:3128\";\n"
      "Acquire::Retries \"3\";\n"
      "Acquire::AllowInsecureRepositories \"1\";\n"
      "Acquire::Check-Valid-Until \"false\";\n"
      "Acquire::IndexTargets::deb::Packages::Optional \"0\";\n"
      "APT::Get::AllowUnauthenticated \"1\";\n");
  EXPECT_EQ(taken,
            "Acquire::http::Proxy \"http://proxy.example:3128\";\n"
            "Acquire::Retries \"3\";\n"
            "Acquire::Check-Valid-Until \"false\";\n");
}

class PackagesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-packages");
    ASSERT_OK(made);
    folder_.emplace(std::move(*made));
    spec_.name = "tools";
    spec_.suite = "trixie";
    spec_.components = {"main"};
    spec_.mirror = "http://m.example/debian";
    spec_.security_mirror = "http://s.example/sec";
    spec_.packages = {"jq"};
    spec_.architectures = {"amd64", "arm64"};
    locked_.asked = *packages_asked(spec_, folder_->path());
    add("jq", "amd64", false);
    add("jq", "arm64", false);
    add("tzdata", "all", true);
    runner_.on("dpkg-deb --field", [](const Command& command) -> Result<ProcessResult> {
      return ProcessResult{0,
                           "Package: from " + fs::path(command.argv[2]).filename().string() +
                               "\nDescription: x\n y\n",
                           ""};
    });
  }

  void add(const std::string& name, const std::string& architecture, bool security) {
    LockedPackage package;
    package.name = name;
    package.version = "1:1.7+x";
    package.architecture = architecture;
    package.path = fmt::format("pool/main/{}/{}_1.7+x_{}.deb", name[0], name, architecture);
    package.security = security;
    package.digest = Digest::of(name + architecture);
    package.size = 10;
    locked_.packages.push_back(package);
  }

  fs::path folder() const { return folder_->path(); }

  std::optional<TemporaryDirectory> folder_;
  PackagesSpec spec_;
  LockedPackages locked_;
  FakeProcessRunner runner_;
};

TEST_F(PackagesTest, AMirrorThatIsAwayIsNotAForgedOne) {
  bundle_test::write(folder() / "keys.gpg", "keys");
  spec_.keyring = "keys.gpg";
  runner_.on("apt-config dump", ProcessResult{0, "Acquire::Retries \"3\";\n", ""});
  const auto kind_of = [&](const std::string& complaint) {
    FakeProcessRunner runner = runner_;
    runner.on("apt-get update", ProcessResult{100, "", complaint});
    auto apt = AptRoot::create(spec_, "amd64", folder(), runner);
    EXPECT_TRUE(apt);
    const auto done = apt->update();
    EXPECT_FALSE(done);
    return done.error().kind;
  };
  EXPECT_EQ(kind_of("E: Failed to fetch http://m/InRelease  404  Not Found\n"
                    "E: The repository 'http://m trixie InRelease' is not signed.\n"),
            ErrorKind::network);
  EXPECT_EQ(kind_of("W: GPG error: http://m trixie InRelease: NO_PUBKEY 6ED0E7B82643E131\n"
                    "E: The repository 'http://m trixie InRelease' is not signed.\n"),
            ErrorKind::untrusted);
  EXPECT_EQ(kind_of("E: The repository 'http://m trixie Release' is not signed.\n"),
            ErrorKind::untrusted);
  spec_.keyring = "none.gpg";
  const auto missing = AptRoot::create(spec_, "amd64", folder(), runner_);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::dependency);
}

TEST_F(PackagesTest, ComeFromTheirMirrorWithTheirDigest) {
  const auto files = package_files(spec_, locked_);
  ASSERT_EQ(files.size(), 3U);
  EXPECT_EQ(files[0].name, "pool/main/j/jq_1.7+x_amd64.deb");
  EXPECT_EQ(files[0].remote->url, "http://m.example/debian/pool/main/j/jq_1.7%2bx_amd64.deb");
  EXPECT_EQ(files[2].remote->url, "http://s.example/sec/pool/main/t/tzdata_1.7%2bx_all.deb");
  EXPECT_EQ(files[0].remote->digest, Digest::of("jqamd64"));
  EXPECT_THAT(files[0].remote->gone, HasSubstr("snapshot.debian.org"));
}

TEST_F(PackagesTest, TheIndexesAreARepository) {
  auto files = package_files(spec_, locked_);
  for (auto& file : files) file.path = "/x/" + fs::path(file.name).filename().string();
  const auto time = WallTime(std::chrono::seconds(1'000'000'000));
  ASSERT_OK(add_indexes(spec_, locked_, time, folder(), runner_, files));
  const auto text = [&](const std::string& name) {
    const auto file = std::ranges::find(files, name, &ArtifactFile::name);
    return file == files.end() ? "" : *read_file(file->path);
  };
  const auto amd = text("dists/trixie/main/binary-amd64/Packages");
  EXPECT_EQ(amd, fmt::format("Package: from jq_1.7+x_amd64.deb\nDescription: x\n y\nFilename: "
                             "pool/main/j/jq_1.7+x_amd64.deb\nSize: 10\nSHA256: {}\n\n"
                             "Package: from tzdata_1.7+x_all.deb\nDescription: x\n y\nFilename: "
                             "pool/main/t/tzdata_1.7+x_all.deb\nSize: 10\nSHA256: {}\n\n",
                             Digest::of("jqamd64").hex(), Digest::of("tzdataall").hex()));
  const auto release = text("dists/trixie/Release");
  EXPECT_THAT(release, HasSubstr("Date: Sun, 09 Sep 2001 01:46:40 UTC\n"));
  EXPECT_THAT(release, HasSubstr("Architectures: amd64 arm64\n"));
  EXPECT_THAT(release, HasSubstr(fmt::format(" {} {} main/binary-amd64/Packages\n",
                                             Digest::of(amd).hex(), amd.size())));
  EXPECT_TRUE(std::ranges::is_sorted(files, {}, &ArtifactFile::name));
}

TEST_F(PackagesTest, ALockRemembersThemAndWhatTheyWereFor) {
  Lock lock;
  lock.packages["apt/tools"] = locked_;
  const auto back = Lock::parse(lock.to_text(), "bundle.lock");
  ASSERT_OK(back);
  EXPECT_EQ(back->to_text(), lock.to_text());
  const auto same = back->locked_packages("apt/tools", locked_.asked);
  ASSERT_OK(same);
  EXPECT_EQ(same->packages[2].version, "1:1.7+x");
  EXPECT_TRUE(same->packages[2].security);

  spec_.mirror = "http://snapshot.debian.org/archive/debian/20261101T000000Z";
  EXPECT_TRUE(back->locked_packages("apt/tools", *packages_asked(spec_, folder())));
  spec_.packages.emplace_back("tcpdump");
  const auto more = back->locked_packages("apt/tools", *packages_asked(spec_, folder()));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind, ErrorKind::conflict);
  EXPECT_THAT(more.error().what, HasSubstr("tcpdump"));
  EXPECT_THAT(more.error().hint, HasSubstr("bundle resolve"));
  const auto other = back->locked_packages("apt/other", locked_.asked);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::not_found);
}

TEST_F(PackagesTest, AnotherStateOfTheTargetIsAnotherQuestion) {
  spec_.base = PackageBase::installed;
  spec_.installed = "status";
  bundle_test::write(folder() / "status", "Package: a\n");
  const auto one = packages_asked(spec_, folder());
  ASSERT_OK(one);
  bundle_test::write(folder() / "status", "Package: b\n");
  EXPECT_NE(*packages_asked(spec_, folder()), *one);
  fs::remove(folder() / "status");
  EXPECT_FALSE(packages_asked(spec_, folder()));
}

TEST_F(PackagesTest, APathOutOfThePoolIsRefused) {
  for (const auto* path : {"pool/../../etc/x.deb", "/pool/x.deb", "etc/x.deb", "pool//x.deb"}) {
    auto value = packages_json(locked_);
    value["packages"][0]["path"] = path;
    const auto parsed = parse_packages_json(value);
    ASSERT_FALSE(parsed) << path;
    EXPECT_THAT(parsed.error().what, HasSubstr(path));
  }
  EXPECT_FALSE(parse_packages_json(Json::array()));
  EXPECT_FALSE(parse_packages_json(Json{{"asked", 1}, {"packages", {{{"package", "a"}}}}}));
}

}  // namespace
}  // namespace bedplate::collect

// Files by URL, folders and what is in them, through a whole bundle.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "airgap-bundle/bundle/extract.hpp"
#include "airgap-bundle/collect/create.hpp"
#include "airgap-bundle/collect/files.hpp"
#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "core/http_server.hpp"
#include "core/json.hpp"
#include "core/process_fake.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;

std::string problem(const std::string& file, const std::string& more = "") {
  const auto parsed = collect::parse_spec(
      "kind: Bundle\nname: a\nversion: '1'\nfiles:\n  - name: a\n    version: '1'\n    files:\n"
      "      - {" +
          file + "}\n" + more,
      "bundle.yaml");
  return parsed ? "none" : parsed.error().render();
}

TEST(Room, ABundleThatCannotFitIsRefusedBeforeItIsWritten) {
  collect::SpacePlan plan;
  plan.known = 5ULL << 30;
  plan.written = 3ULL << 30;
  plan.free = 2ULL << 30;
  ASSERT_OK(collect::require_room(plan, "/here"));
  plan.made = 1;
  const auto full = collect::require_room(plan, "/here");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::io);
  plan.free = 100ULL << 30;
  plan.longest_file = (4ULL << 30) - 1;
  const auto fat = collect::require_room(plan, "/here");
  ASSERT_FALSE(fat);
  EXPECT_EQ(fat.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(fat.error().hint, HasSubstr("split --size fat32"));
}

TEST(UrlFiles, WhatASpecificationMayNotSay) {
  EXPECT_EQ(problem("url: 'https://a.example/x', to: x, mode: '0755'"), "none");
  EXPECT_THAT(problem("url: 'https://a.example/x', to: x, path: y"), HasSubstr("beside 'url'"));
  EXPECT_THAT(problem("url: 'ftp://a.example/x', to: x"), HasSubstr("https://HOST/PATH"));
  EXPECT_THAT(problem("url: 'https://a.example', to: x"), HasSubstr("https://HOST/PATH"));
  EXPECT_THAT(problem("url: 'https://me:secret@a.example/x', to: x"), HasSubstr("without user"));
  EXPECT_THAT(problem("url: 'https://a.example/x', to: x, digest: 'sha256:12'"),
              HasSubstr("bundle.yaml:8"));
  EXPECT_THAT(problem("url: 'https://a.example/x', to: x, mode: '1755'"), HasSubstr("octal"));
  EXPECT_THAT(problem("url: 'https://a.example/x', to: ../x"), HasSubstr("without '..'"));
  EXPECT_THAT(problem("path: x, to: x, digest: 'sha256:12'"), HasSubstr("belongs to 'url'"));
}

TEST(UrlFiles, WithoutTlsOnlyWhereItIsSaid) {
  EXPECT_THAT(problem("url: 'http://a.example/x', to: x"), HasSubstr("plainHTTP: true"));
  EXPECT_EQ(problem("url: 'http://a.example/x', to: x, plainHTTP: true"), "none");
  EXPECT_EQ(problem("url: 'http://a.example:80/x', to: x",
                    "registries:\n  - {host: 'a.example:80', plainHTTP: true}\n"),
            "none");
  EXPECT_THAT(problem("url: 'http://a.example/x', to: x",
                      "registries:\n  - {host: 'b.example', plainHTTP: true}\n"),
              HasSubstr("plainHTTP: true"));
}

class SourcesTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    cache_ = folder() / "cache";
    auto server = HttpServer::start(*Ipv4::parse("127.0.0.1"), 0, [this](const ServerRequest& r) {
      ++requests_;
      ServerResponse response;
      if (r.path == "/gone") response.status = 404;
      response.body = content_;
      return response;
    });
    ASSERT_OK(server);
    server_ = std::move(*server);
  }

  void specify(const std::string& files) {
    spec_ =
        "kind: Bundle\nname: a\nversion: '1'\nfiles:\n  - name: tools\n    version: '1'\n"
        "    files:\n" +
        files;
  }
  std::string by_url(const std::string& path, const std::string& more) const {
    return fmt::format("      - {{url: 'http://127.0.0.1:{}{}', plainHTTP: true, {}}}\n",
                       server_->port(), path, more);
  }
  Result<collect::Lock> resolve() {
    BP_TRY(const auto spec, collect::parse_spec(spec_, "bundle.yaml"));
    FakeProcessRunner none;
    collect::Fetching fetching;
    fetching.cache = cache_;
    return collect::resolve(spec, folder(), "", none, nullptr, fetching);
  }
  Error refused() {
    const auto made = try_create(file());
    EXPECT_FALSE(made);
    EXPECT_FALSE(fs::exists(file()));
    return made ? Error(ErrorKind::internal, "was made") : made.error();
  }

  std::atomic<int> requests_{0};
  std::string content_ = noise(50'000, 5);
  std::unique_ptr<HttpServer> server_;
};

TEST_F(SourcesTest, AFileByUrlIsFetchedOnceAndCarriedWithItsMode) {
  specify(
      by_url("/tool", "to: bin/tool, mode: '0755', digest: '" + Digest::of(content_).str() + "'"));
  create(file());
  create(folder() / "second.bundle");
  EXPECT_EQ(*read_file(file()), *read_file(folder() / "second.bundle"));
  EXPECT_EQ(requests_, 2) << "its size, and the file";
  const auto reader = open(file());
  ASSERT_OK(reader);
  ASSERT_OK(reader->extract("tools", folder() / "out", nullptr));
  EXPECT_EQ(*read_file(folder() / "out/bin/tool"), content_);
  EXPECT_EQ(fs::status(folder() / "out/bin/tool").permissions(), fs::perms(0755));
}

TEST_F(SourcesTest, AHostsAuthorityIsTheOneUnderRegistries) {
  write(folder() / "ca.pem", "an authority");
  specify(
      "      - {url: 'https://a.example:8443/x', to: a}\n"
      "      - {url: 'https://b.example/x', to: b}\n"
      "registries:\n  - {host: 'a.example:8443', ca: ca.pem}\n");
  const auto spec = collect::parse_spec(spec_, "bundle.yaml");
  ASSERT_OK(spec);
  const auto files = collect::ArtifactFiles::expand(*spec, folder());
  ASSERT_OK(files);
  EXPECT_EQ(files->of(0)[0].remote->tls.ca_pem, "an authority");
  EXPECT_EQ(files->of(0)[1].remote->tls.ca_pem, "");
  fs::remove(folder() / "ca.pem");
  EXPECT_FALSE(collect::ArtifactFiles::expand(*spec, folder()));
}

TEST_F(SourcesTest, MoreFilesThanAListMayHaveAreRefusedBeforeAnythingIsFetched) {
  collect::FilesSpec spec;
  spec.name = "docs";
  spec.files.emplace_back();
  spec.files.back().path = "many";
  spec.files.back().to = "docs";
  for (int i = 0; i < 15'000; ++i) {
    write(folder() / "many" / (std::string(240, 'x') + std::to_string(i)), "");
  }
  const auto found = collect::expand(spec, folder());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(found.error().what, HasSubstr("15000 files"));
  EXPECT_THAT(found.error().hint, HasSubstr("archive"));
}

TEST_F(SourcesTest, AnotherContentIsRefused) {
  specify(by_url("/tool", "to: bin/tool, digest: '" + Digest::of("other").str() + "'"));
  const auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::corrupt);
  EXPECT_THAT(error.what, HasSubstr(Digest::of(content_).str()));
}

TEST_F(SourcesTest, WhatIsGoneIsNamed) {
  specify(by_url("/gone", "to: bin/tool"));
  const auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_THAT(error.what, HasSubstr("/gone"));
}

TEST_F(SourcesTest, TheLockSaysWhatAFileWithoutADigestIs) {
  specify(by_url("/tool", "to: bin/tool"));
  const auto lock = resolve();
  ASSERT_OK(lock);
  EXPECT_EQ(lock->files.at("tools/bin/tool").digest, Digest::of(content_));
  EXPECT_EQ(lock->files.at("tools/bin/tool").size, content_.size());
  lock_ = *lock;
  const int before = requests_;
  create(file());
  EXPECT_EQ(requests_, before) << "it is in the cache, and known";

  fs::remove_all(cache_);
  fs::remove(file());
  content_[9] = static_cast<char>(content_[9] ^ 1);
  EXPECT_EQ(refused().kind, ErrorKind::corrupt);

  specify(by_url("/tool", "to: bin/new"));
  EXPECT_THAT(refused().what, HasSubstr("the lock has no tools/bin/new"));
  specify(by_url("/tool", "to: bin/tool, digest: '" + Digest::of("x").str() + "'"));
  EXPECT_THAT(refused().what, HasSubstr("in the lock"));
}

TEST_F(SourcesTest, ADryRunAsksForTheSizeOnly) {
  specify(by_url("/tool", "to: bin/tool"));
  const auto spec = collect::parse_spec(spec_, "bundle.yaml");
  ASSERT_OK(spec);
  collect::CreateOptions options;
  options.root = folder();
  options.output = file();
  options.cache = cache_;
  const auto plan = collect::plan_space(*spec, options, key_);
  ASSERT_OK(plan);
  EXPECT_GE(plan->made, content_.size());
  EXPECT_FALSE(fs::exists(cache_));
}

TEST_F(SourcesTest, WhatIsCompressedIsNotCompressedAgain) {
  write(folder() / "tools/a.tgz", std::string(10'000, 'x'));
  specify("      - {path: tools, to: opt}\n");
  create(file());
  const auto reader = open(file());
  ASSERT_OK(reader);
  const auto manifest =
      parse_json(*reader->blob(reader->header().artifact("tools")->digest), "manifest");
  ASSERT_OK(manifest);
  std::map<std::string, std::string> types;
  for (const auto& layer : (*manifest)["layers"]) {
    types[layer["annotations"]["org.opencontainers.image.title"]] = layer["mediaType"];
  }
  EXPECT_EQ(types["opt/a.tgz"], oci::media::file);
  EXPECT_EQ(types["opt/readme"], oci::media::file_zstd);
  ASSERT_OK(reader->extract("tools", folder() / "out", nullptr));
  EXPECT_EQ(*read_file(folder() / "out/opt/a.tgz"), std::string(10'000, 'x'));
}

TEST_F(SourcesTest, ALinkInsideTheFolderIsTheFileItMeans) {
  fs::create_symlink("bin/kubelet", folder() / "tools/link");
  specify("      - {path: tools, to: opt}\n");
  create(file());
  const auto reader = open(file());
  ASSERT_OK(reader->extract("tools", folder() / "out", nullptr));
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(folder() / "out/opt/link")));
  EXPECT_EQ(*read_file(folder() / "out/opt/link"), noise(100'000, 2));
}

TEST_F(SourcesTest, LinksThatLeadElsewhereAndDevicesAreRefused) {
  specify("      - {path: tools, to: opt}\n");
  const auto link = folder() / "tools/link";
  fs::create_symlink("/etc/passwd", link);
  auto error = refused();
  EXPECT_EQ(error.kind, ErrorKind::unsupported);
  EXPECT_THAT(error.what, HasSubstr("outside of the folder"));
  fs::remove(link);
  fs::create_symlink("bin", link);
  EXPECT_THAT(refused().what, HasSubstr("link to a folder"));
  fs::remove(link);
  fs::create_symlink("nowhere", link);
  EXPECT_EQ(refused().kind, ErrorKind::not_found);
  fs::remove(link);
  ASSERT_EQ(::mkfifo(link.c_str(), 0600), 0);
  error = refused();
  EXPECT_EQ(error.kind, ErrorKind::unsupported);
  EXPECT_THAT(error.what, HasSubstr("tools/link"));
  specify("      - {path: tools/link, to: opt}\n");
  EXPECT_EQ(refused().kind, ErrorKind::unsupported);
  specify("      - {path: tools, to: opt, mode: '0600'}\n");
  EXPECT_THAT(refused().what, HasSubstr("modes of their own"));
}

TEST_F(SourcesTest, AnExtractionIsPlannedByWhatIsThere) {
  create(file());
  const auto reader = open(file());
  const auto to = folder() / "not/there/yet";
  auto plan = bundle::plan_extract(*reader, "tools", to);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->files.size(), 3U);
  EXPECT_EQ(plan->bytes, 105'000U);
  EXPECT_EQ(plan->missing, 105'000U);
  EXPECT_FALSE(fs::exists(folder() / "not"));
  ASSERT_OK(reader->extract("tools", to, nullptr));
  write(to / "opt/readme", "changed", 0640);
  plan = bundle::plan_extract(*reader, "tools", to);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->here, 2U);
  EXPECT_EQ(plan->missing, 5'000U);
  EXPECT_EQ(bundle::plan_extract(*reader, "none", to).error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace bedplate::bundle_test

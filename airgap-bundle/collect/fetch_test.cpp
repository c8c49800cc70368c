#include "airgap-bundle/collect/fetch.hpp"

#include <gmock/gmock.h>

#include "airgap-bundle/oci/media_types.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/hostile_server.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::SizeIs;

/// Two images with a layer each, in a registry that remembers who asked for what.
class FetchTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    ::setenv("REGISTRY_AUTH_FILE", (folder() / "auth.json").c_str(), 1);
    for (const auto* layer : {&large_, &small_}) {
      const Json manifest{{"schemaVersion", 2},
                          {"mediaType", oci::media::manifest},
                          {"config", put(config_, oci::media::config)},
                          {"layers", {put(*layer, oci::media::layer_tar)}}};
      manifests_.push_back(manifest.dump());
      put(manifests_.back(), oci::media::manifest);
    }
    server_.emplace([this](const auto& request, auto& peer) { serve(request, peer); });
  }
  void TearDown() override {
    server_.reset();
    ::unsetenv("REGISTRY_AUTH_FILE");
  }

  Json put(const std::string& content, std::string_view type) {
    const auto digest = Digest::of(content).str();
    blobs_[digest] = content;
    return {{"mediaType", type}, {"digest", digest}, {"size", content.size()}};
  }

  void serve(const HostileRequest& request, HostilePeer& peer) {
    const auto digest = request.path.substr(request.path.rfind('/') + 1);
    const std::lock_guard lock(mutex_);
    const auto found = blobs_.find(digest);
    if (found == blobs_.end()) return void(peer.answer("404 Not Found", ""));
    const auto rest = std::string_view(found->second).substr(request.range_start());
    const auto range = request.header("Range");
    if (range.empty()) return void(peer.answer("200 OK", rest));
    peer.answer("206 Partial Content", range.ends_with('-') ? rest : rest.substr(0, 1));
  }

  /// Where the requests for that content began, without those that only ask for a byte.
  std::vector<std::uint64_t> asked(const std::string& content) const {
    std::vector<std::uint64_t> out;
    for (const auto& request : server_->requests()) {
      const auto range = request.header("Range");
      const bool probe = !range.empty() && !range.ends_with('-');
      if (request.path.ends_with(Digest::of(content).str()) && !probe) {
        out.push_back(request.range_start());
      }
    }
    return out;
  }

  Result<collect::Created> make(const fs::path& output, const std::string& name = "a") {
    std::string text = "kind: Bundle\nname: " + name + "\nversion: '1'\nimages:\n";
    for (std::size_t i = 0; i < manifests_.size(); ++i) {
      text += "  - {name: 'r.example/a:" + std::to_string(i) +
              "', source: 'registry:" + server_->host() + "/a@" + Digest::of(manifests_[i]).str() +
              "', plainHTTP: true}\n";
    }
    BP_TRY(const auto spec, collect::parse_spec(text, "bundle.yaml"));
    options_.root = folder();
    options_.output = output;
    options_.created_at = WallTime(std::chrono::seconds(1));
    options_.patience =
        registry::Patience{&clock_, std::chrono::seconds(5), std::chrono::seconds(5)};
    return collect::create_bundle(spec, options_, key_, nullptr);
  }
  void expect_whole(const fs::path& path) const {
    const auto reader = open(path);
    ASSERT_OK(reader);
    ASSERT_OK(reader->verify(nullptr));
  }
  void lose(const std::string& content) {
    const std::lock_guard lock(mutex_);
    blobs_.erase(Digest::of(content).str());
  }
  static std::uint64_t place_of(const bundle::Reader& reader, const std::string& content) {
    return reader.header().find(Digest::of(content))->offset;
  }
  fs::path other() const { return folder() / "other.bundle"; }

  FakeClock clock_;
  collect::CreateOptions options_ = [] {
    collect::CreateOptions options;
    options.workers = 1;  // the large layer first
    return options;
  }();
  const std::string config_ = R"({"os":"linux","architecture":"amd64"})";
  const std::string large_ = noise(500'000, 11);
  const std::string small_ = noise(50'000, 12);
  std::vector<std::string> manifests_;
  std::mutex mutex_;
  std::map<std::string, std::string> blobs_;
  std::optional<HostileServer> server_;
};

TEST_F(FetchTest, WhatTheBundleHasIsNotFetchedAgain) {
  ASSERT_OK(make(file()));
  ASSERT_OK(make(file()));
  EXPECT_THAT(asked(large_), SizeIs(1));
  EXPECT_THAT(asked(small_), SizeIs(1));
  expect_whole(file());
}

TEST_F(FetchTest, ADamagedBundleIsNoSource) {
  ASSERT_OK(make(file()));
  const auto old = open(file());
  ASSERT_OK(old);
  flip(file(), place_of(*old, large_) + 400'000);
  options_.reuse = {file()};
  ASSERT_OK(make(other()));
  EXPECT_EQ(asked(large_), (std::vector<std::uint64_t>{0, 0}));
  EXPECT_THAT(asked(small_), SizeIs(1));
  expect_whole(other());
}

TEST_F(FetchTest, ABundleThatWasCutIsNoSource) {
  ASSERT_OK(make(file()));
  const auto old = open(file());
  ASSERT_OK(old);
  lose(small_);
  fs::copy_file(file(), folder() / "cut.bundle");
  fs::resize_file(folder() / "cut.bundle", place_of(*old, large_) + 1000);
  options_.reuse = {folder() / "cut.bundle"};
  const auto made = make(other());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::not_found);
  EXPECT_FALSE(fs::exists(other()));
}

TEST_F(FetchTest, TheCacheKeepsWhatWasFetched) {
  options_.cache = folder() / "cache";
  ASSERT_OK(make(file()));
  ASSERT_OK(make(other()));
  EXPECT_THAT(asked(large_), SizeIs(1));
  EXPECT_THAT(asked(small_), SizeIs(1));
  EXPECT_EQ(Digest::of(*read_file(file())), Digest::of(*read_file(other())));
}

TEST_F(FetchTest, ADamagedCacheIsReplaced) {
  options_.cache = folder() / "cache";
  ASSERT_OK(make(file()));
  const auto cached = options_.cache / Digest::of(large_).hex();
  flip(cached, 17);
  ASSERT_OK(make(other()));
  EXPECT_THAT(asked(large_), SizeIs(2));
  expect_whole(other());
  EXPECT_EQ(*read_file(cached), large_);
}

TEST_F(FetchTest, AFailureLeavesWhatThereIsForTheNextRun) {
  lose(small_);
  const auto failed = make(file());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::not_found);
  EXPECT_FALSE(failed.error().hint.empty());
  EXPECT_FALSE(fs::exists(file()));
  put(small_, oci::media::layer_tar);
  ASSERT_OK(make(file()));
  EXPECT_THAT(asked(large_), SizeIs(1));
  expect_whole(file());
  EXPECT_FALSE(fs::exists(file().string() + ".partial"));
}

TEST_F(FetchTest, AChangedSpecificationTakesOverWhatAnEarlierRunHad) {
  lose(small_);
  ASSERT_FALSE(make(file()));
  put(small_, oci::media::layer_tar);
  // A longer name moves every blob.
  ASSERT_OK(make(file(), std::string(2000, 'n')));
  EXPECT_THAT(asked(large_), SizeIs(1));
  expect_whole(file());
  EXPECT_FALSE(fs::exists(file().string() + ".partial.old"));
}

TEST_F(FetchTest, AnotherLayoutThatWasDamagedIsFetchedAgain) {
  lose(small_);
  ASSERT_FALSE(make(file()));
  put(small_, oci::media::layer_tar);
  const auto partial = *read_file(file().string() + ".partial");
  const auto place = partial.find(large_.substr(0, 64));
  ASSERT_NE(place, std::string::npos);
  flip(file().string() + ".partial", place + 300'000);
  ASSERT_OK(make(file(), std::string(2000, 'n')));
  EXPECT_EQ(asked(large_), (std::vector<std::uint64_t>{0, 0}));
  expect_whole(file());
}

TEST_F(FetchTest, SeveralWorkersMakeTheSameBundle) {
  ASSERT_OK(make(file()));
  const auto one = Digest::of(*read_file(file()));
  fs::remove(file());
  options_.workers = 8;
  ASSERT_OK(make(file()));
  EXPECT_EQ(Digest::of(*read_file(file())), one);
}

}  // namespace
}  // namespace bedplate::bundle_test

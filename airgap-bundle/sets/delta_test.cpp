#include "airgap-bundle/sets/delta.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "airgap-bundle/bundle/reader.hpp"
#include "airgap-bundle/bundle/writer.hpp"
#include "airgap-bundle/collect/create.hpp"
#include "airgap-bundle/sets/addition.hpp"
#include "airgap-bundle/sets/inventory.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "airgap-bundle/tests/killing.hpp"
#include "core/json.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::HasSubstr;

class DeltaTest : public BundleTest {
 protected:
  /// old.bundle, and new.bundle with one file changed and one more.
  void SetUp() override {
    BundleTest::SetUp();
    write(folder() / "tools/large", noise(9'000'000, 8));
    create(old_bundle());
    write(folder() / "tools/readme", noise(7000, 9));
    write(folder() / "tools/more", noise(6'000'000, 10));
    create(new_bundle());
  }
  fs::path old_bundle() const { return folder() / "old.bundle"; }
  fs::path new_bundle() const { return folder() / "new.bundle"; }
  fs::path delta() const { return folder() / "delta.bundle"; }
  fs::path result() const { return folder() / "result.bundle"; }
  std::vector<PublicKey> keys() const { return {key_.public_key()}; }

  bundle::BlobSizes have(const fs::path& path) const {
    sets::Inventory inventory;
    inventory.add(*open(path));
    return inventory.blobs;
  }
  Result<bundle::Header> diff(Progress* progress = nullptr) const {
    return sets::diff({new_bundle(), have(old_bundle()), delta()}, keys(), key_, progress);
  }
  Result<void> apply(const std::vector<fs::path>& bases, Progress* progress = nullptr) const {
    BP_CHECK(sets::apply({delta(), bases, result()}, keys(), progress));
    return {};
  }
  void expect_result() const {
    EXPECT_EQ(*digest_file(result()), *digest_file(new_bundle()));
    EXPECT_FALSE(fs::exists(result().string() + ".partial"));
  }
  template <class T>
  static void expect_error(const Result<T>& done, ErrorKind kind, const std::string& text) {
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, kind) << done.error().render();
    EXPECT_THAT(done.error().render(), HasSubstr(text));
    EXPECT_FALSE(done.error().hint.empty());
  }
  /// A create whose site has what a bundle holds.
  Result<bundle::Header> create_without(const fs::path& base, const fs::path& output) const {
    BP_TRY(const auto spec, collect::parse_spec(spec_, "bundle.yaml"));
    collect::CreateOptions options;
    options.root = folder();
    options.output = output;
    options.created_at = WallTime(std::chrono::seconds(1'000'000'000));
    options.have = have(base);
    BP_TRY(const auto created, collect::create_bundle(spec, options, key_, nullptr));
    return created.header;
  }
};

TEST_F(DeltaTest, CarriesOnlyWhatIsNewAndGivesTheSameBytes) {
  const auto header = diff();
  ASSERT_OK(header);
  EXPECT_LT(fs::file_size(delta()), 6'300'000U);
  EXPECT_GT(header->elsewhere.size(), 2U);
  ASSERT_OK(open(delta())->verify(nullptr));
  for (const auto& blob : header->elsewhere) {
    EXPECT_EQ(open(old_bundle())->header().find(blob.digest)->size, blob.size);
  }
  ASSERT_OK(apply({old_bundle()}));
  expect_result();
}

TEST_F(DeltaTest, SaysWhatTheCompleteBundleSays) {
  const auto header = *diff();
  const auto complete = open(new_bundle())->header();
  EXPECT_EQ(header.name, complete.name);
  EXPECT_EQ(header.created_at, complete.created_at);
  ASSERT_EQ(header.images.size(), complete.images.size());
  for (const auto& image : header.images) {
    EXPECT_TRUE(open(delta())->blob(image.digest)) << "a manifest that is named is carried";
  }
}

TEST_F(DeltaTest, IsTheSameForTheSameInput) {
  ASSERT_OK(diff());
  const auto first = *digest_file(delta());
  fs::remove(delta());
  ASSERT_OK(diff());
  EXPECT_EQ(*digest_file(delta()), first);
}

TEST_F(DeltaTest, PlansSayHowMuch) {
  const auto plan = sets::plan_diff({new_bundle(), have(old_bundle()), delta()}, keys());
  ASSERT_OK(plan);
  EXPECT_GT(plan->elsewhere, 9'000'000U);
  EXPECT_FALSE(fs::exists(delta()));
  ASSERT_OK(diff());
  EXPECT_GE(plan->space[0].needed, fs::file_size(delta()));
  const auto applying = sets::plan_apply({delta(), {old_bundle()}, result()}, keys());
  ASSERT_OK(applying);
  EXPECT_EQ(applying->space[0].needed, fs::file_size(new_bundle()));
  EXPECT_FALSE(fs::exists(result()));
}

TEST_F(DeltaTest, TheWrongBaseIsRefusedBeforeAnythingIsWritten) {
  ASSERT_OK(diff());
  spec_ =
      "kind: Bundle\nname: other\nversion: '1'\nfiles:\n  - {name: t, version: '1', files: "
      "[{path: tools/readme, to: x}]}\n";
  create(folder() / "other.bundle");
  const auto applied = apply({folder() / "other.bundle"});
  expect_error(applied, ErrorKind::not_found, "blobs");
  const auto blob = open(delta())->header().elsewhere.front();
  EXPECT_THAT(applied.error().what, HasSubstr(std::to_string(blob.size)));
  EXPECT_THAT(applied.error().hint, HasSubstr("--base"));
  EXPECT_FALSE(fs::exists(result().string() + ".partial"));
  // Together with the right one it does no harm.
  ASSERT_OK(apply({folder() / "other.bundle", old_bundle()}));
  expect_result();
}

TEST_F(DeltaTest, ADamagedBaseIsNamedAndAfterItsRepairItGoesOn) {
  ASSERT_OK(diff());
  const auto blob = open(delta())->header().elsewhere.back();
  const auto base = open(old_bundle());
  const auto* entry = base->header().find(blob.digest);
  const auto place = entry->offset + entry->size / 2;
  flip(old_bundle(), place);
  const auto applied = apply({old_bundle()});
  expect_error(applied, ErrorKind::corrupt, blob.digest.hex());
  EXPECT_THAT(applied.error().what, HasSubstr(old_bundle().string()));
  EXPECT_FALSE(fs::exists(result()));
  flip(old_bundle(), place);
  ASSERT_OK(apply({old_bundle()}));
  expect_result();
}

TEST_F(DeltaTest, ADamagedDeltaIsNamed) {
  ASSERT_OK(diff());
  const auto reader = open(delta());
  for (const auto& entry : reader->header().entries) {
    flip(delta(), entry.offset);
    EXPECT_FALSE(apply({old_bundle()})) << entry.path;
    EXPECT_FALSE(fs::exists(result())) << entry.path;
    flip(delta(), entry.offset);
    // What came through whole would be taken from here by the next one.
    fs::remove(result().string() + ".partial");
    fs::remove(result().string() + ".partial.state");
  }
  ASSERT_OK(apply({old_bundle()}));
  expect_result();
}

TEST_F(DeltaTest, TheResultMayReplaceItsBase) {
  ASSERT_OK(diff());
  ASSERT_OK(sets::apply({delta(), {old_bundle()}, old_bundle()}, keys(), nullptr));
  EXPECT_EQ(*digest_file(old_bundle()), *digest_file(new_bundle()));
  // Again: the base is gone, but what it was needed for is there.
  ASSERT_OK(sets::apply({delta(), {old_bundle()}, old_bundle()}, keys(), nullptr));
}

TEST_F(DeltaTest, AResultThatWasDamagedIsMadeAgain) {
  ASSERT_OK(diff());
  ASSERT_OK(apply({old_bundle()}));
  flip(result(), fs::file_size(result()) / 2);
  ASSERT_OK(apply({old_bundle()}));
  expect_result();
}

TEST_F(DeltaTest, AnApplyThatWasKilledAnywhereGoesOn) {
  ASSERT_OK(diff());
  const auto total = fs::file_size(new_bundle());
  std::size_t kills = 0;
  for (std::uint64_t after = 1; after < total; after += total / 6) {
    fs::remove(result());
    if (killed_after(after, [&](Progress* progress) {
          return apply({old_bundle()}, progress).has_value();
        })) {
      ++kills;
    }
    EXPECT_FALSE(fs::exists(result()));
    ASSERT_OK(apply({old_bundle()}));
    expect_result();
  }
  EXPECT_GT(kills, 3U);
}

TEST_F(DeltaTest, ADiffThatWasKilledGoesOn) {
  ASSERT_OK(diff());
  const auto wanted = *digest_file(delta());
  fs::remove(delta());
  ASSERT_TRUE(
      killed_after(2'000'000, [&](Progress* progress) { return diff(progress).has_value(); }));
  EXPECT_FALSE(fs::exists(delta()));
  ASSERT_OK(diff());
  EXPECT_EQ(*digest_file(delta()), wanted);
}

TEST_F(DeltaTest, WhatIsNoDeltaCannotBeAppliedAndADeltaHasNoDelta) {
  expect_error(sets::apply({new_bundle(), {old_bundle()}, result()}, keys(), nullptr),
               ErrorKind::invalid, "no differential bundle");
  ASSERT_OK(diff());
  expect_error(sets::diff({delta(), {}, result()}, keys(), key_, nullptr), ErrorKind::invalid,
               "differential");
}

TEST_F(DeltaTest, ADeltaOfTheSameBundleCarriesManifestsOnly) {
  const auto header =
      sets::diff({new_bundle(), have(new_bundle()), delta()}, keys(), key_, nullptr);
  ASSERT_OK(header);
  EXPECT_LT(fs::file_size(delta()), 200'000U);
  ASSERT_OK(apply({new_bundle()}));
  expect_result();
}

TEST_F(DeltaTest, WithoutABaseItCarriesAll) {
  ASSERT_OK(sets::diff({new_bundle(), {}, delta()}, keys(), key_, nullptr));
  EXPECT_TRUE(open(delta())->header().elsewhere.empty());
  ASSERT_OK(apply({old_bundle()}));
  expect_result();
}

TEST_F(DeltaTest, AnotherSignersCompleteHeaderIsUntrusted) {
  const auto other = PrivateKey::generate();
  const auto content =
      bundle::sign_header(bundle::to_json_text(open(new_bundle())->header()), other);
  auto writer = bundle::Writer::create(folder() / "forged.bundle", 8, 20'000);
  ASSERT_OK(writer);
  const auto blob = writer->add(content);
  ASSERT_OK(blob);
  writer->describe({}, blob->digest);
  ASSERT_OK(writer->finish("{}", "forged", "1", WallTime{}, key_));
  const auto applied =
      sets::apply({folder() / "forged.bundle", {old_bundle()}, result()}, keys(), nullptr);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().kind, ErrorKind::untrusted);
  EXPECT_FALSE(fs::exists(result()));
}

TEST_F(DeltaTest, ASignedHeaderThatIsNoHeaderIsCorrupt) {
  for (const auto& content :
       {std::string("x"), std::string(200, 'x'), bundle::sign_header("{}", key_),
        bundle::sign_header("{}", key_) + " "}) {
    auto writer = bundle::Writer::create(folder() / "forged.bundle", 8, 20'000);
    ASSERT_OK(writer);
    const auto blob = writer->add(content);
    ASSERT_OK(blob);
    writer->describe({}, blob->digest);
    ASSERT_OK(writer->finish("{}", "forged", "1", WallTime{}, key_));
    const auto applied =
        sets::apply({folder() / "forged.bundle", {old_bundle()}, result()}, keys(), nullptr);
    ASSERT_FALSE(applied);
    EXPECT_EQ(applied.error().kind, ErrorKind::corrupt) << applied.error().render();
  }
}

TEST_F(DeltaTest, WhatIsElsewhereIsToldToWhoeverWantsIt) {
  ASSERT_OK(diff());
  const auto blob = open(delta())->header().elsewhere.front();
  const auto read = open(delta())->blob(blob.digest);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::not_found);
  EXPECT_THAT(read.error().hint, HasSubstr("bundle apply"));
  const auto extracted = open(delta())->extract("tools", folder() / "out", nullptr);
  ASSERT_FALSE(extracted);
  EXPECT_EQ(extracted.error().kind, ErrorKind::not_found);
  EXPECT_THAT(extracted.error().hint, HasSubstr("bundle apply"));
  EXPECT_FALSE(fs::exists(folder() / "out"));
}

TEST_F(DeltaTest, CreateLeavesOutWhatTheSiteHas) {
  const auto header = create_without(old_bundle(), delta());
  ASSERT_OK(header);
  EXPECT_LT(fs::file_size(delta()), 6'300'000U);
  EXPECT_FALSE(header->elsewhere.empty());
  ASSERT_OK(open(delta())->verify(nullptr));
  ASSERT_OK(apply({old_bundle()}));
  const auto complete = open(result());
  ASSERT_OK(complete);
  ASSERT_OK(complete->verify(nullptr));
  EXPECT_TRUE(complete->header().elsewhere.empty());
  ASSERT_OK(complete->extract("tools", folder() / "out", nullptr));
  EXPECT_EQ(*read_file(folder() / "out/opt/large"), noise(9'000'000, 8));
  EXPECT_EQ(*read_file(folder() / "out/opt/more"), noise(6'000'000, 10));
}

TEST_F(DeltaTest, CreateDoesNotFetchWhatTheSiteHas) {
  // The source has lost the layer: whoever reads it fails.
  const auto source = folder() / "source.bundle";
  fs::copy_file(old_bundle(), source);
  const auto reader = open(source);
  const auto& image = reader->header().images.front();
  const auto manifest = *parse_json(*reader->blob(image.digest), "manifest");
  const auto layer = *Digest::parse(manifest["layers"][0]["digest"].get<std::string>());
  flip(source, reader->header().find(layer)->offset);
  spec_ = "kind: Bundle\nname: copy\nversion: '1'\nimages:\n  - {name: '" + image.name +
          "', source: 'oci-archive:source.bundle'}\n";
  ASSERT_FALSE(try_create(folder() / "whole.bundle"));
  const auto header = create_without(old_bundle(), delta());
  ASSERT_OK(header);
  ASSERT_EQ(header->elsewhere.size(), 1U);
  EXPECT_EQ(header->elsewhere[0].digest, layer);
  EXPECT_LT(fs::file_size(delta()), 100'000U);
  ASSERT_OK(apply({old_bundle()}));
  ASSERT_OK(open(result())->verify(nullptr));
}

TEST_F(DeltaTest, OneImageMoreIsASpecificationOfItsOwn) {
  const auto spec = sets::addition_spec(
      {{"docker.io/library/redis:7", "quay.io/a/b:1"}, "", "linux/arm64", true, "addition", "1"});
  ASSERT_OK(spec);
  ASSERT_EQ(spec->images.size(), 2U);
  EXPECT_EQ(spec->images[0].name.str(), "docker.io/library/redis:7");
  EXPECT_EQ(spec->images[0].platform, "linux/arm64");
  EXPECT_TRUE(spec->images[0].source.plain_http);
  EXPECT_EQ(spec->images[1].source.location, "quay.io/a/b:1");
  EXPECT_EQ(
      sets::addition_spec(
          {{"a.example/b:1", "a.example/c:1"}, "oci:x", "linux/amd64", false, "addition", "1"})
          .error()
          .kind,
      ErrorKind::usage);
  const auto bad = sets::addition_spec({{"redis"}, "", "linux/amd64", false, "addition", "1"});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, ErrorKind::invalid);
  EXPECT_THAT(bad.error().what, HasSubstr("redis"));
}

}  // namespace
}  // namespace bedplate::bundle_test

#include "airgap-bundle/collect/referrers.hpp"

#include <gmock/gmock.h>

#include "airgap-bundle/registry/server.hpp"
#include "airgap-bundle/tests/layout.hpp"
#include "core/process_fake.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

/// Keeps the lines that are worth reading.
class Notes final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t) override {}
  void advance(std::uint64_t) override {}
  void note(std::string_view line) override { lines.emplace_back(line); }
  void end() override {}
  std::vector<std::string> lines;
};

/// An index over two platforms, and all kinds of things that refer to it.
class ReferrersTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    layout_.emplace(folder() / "layout");
    amd_ = layout_->image("amd64");
    arm_ = layout_->image("arm64");
    amd_build_ = layout_->attestation(amd_, "how amd64 was built");
    const auto arm_build = layout_->attestation(arm_, "how arm64 was built");
    index_ = layout_->index({amd_, arm_, amd_build_, arm_build});
    signature_ = layout_->signature(signer_, simple_payload(Layout::digest(index_), "r.example/a"));
    bill_ = layout_->referrer(amd_, "application/spdx+json", "a bill of materials");
    bundle_ = layout_->referrer(
        index_, bundle_type,
        sigstore_bundle(envelope(signer_, statement(Layout::digest(index_), "t"))), bundle_type);
    layout_->add(index_, "app")
        .add(signature_, Layout::tag(index_, ".sig"))
        .add(bill_)
        .add(bundle_)
        .add(layout_->referrer(arm_, "application/spdx+json", "a bill for another platform"));
    spec_for("oci:layout:app");
  }

  void spec_for(const std::string& source, const std::string& more = "") {
    spec_ = "kind: Bundle\nname: a\nversion: '1'\nimages:\n  - {name: 'r.example/a:1', source: '" +
            source + "'" + more + "}\n";
  }

  std::vector<std::string> carried_by(const bundle::Header& header) {
    std::vector<std::string> out;
    for (const auto& item : header.referrers) out.push_back(item.digest.str());
    return out;
  }

  collect::Lock resolve_now() {
    const auto spec = collect::parse_spec(spec_, "bundle.yaml");
    EXPECT_TRUE(spec);
    auto lock = collect::resolve(*spec, folder(), "", none_, &notes_);
    EXPECT_TRUE(lock) << lock.error().render();
    return lock ? *lock : collect::Lock{};
  }

  static constexpr auto bundle_type = "application/vnd.dev.sigstore.bundle.v0.3+json";
  std::optional<Layout> layout_;
  Signer signer_ = Signer::ecdsa();
  Json amd_, arm_, amd_build_, index_, signature_, bill_, bundle_;
  FakeProcessRunner none_;
  Notes notes_;
};

/// Whoever may push into a repository can attach what he likes.
class CrowdedStore final : public collect::ImageStore {
 public:
  CrowdedStore(std::size_t count, std::uint64_t size) : count_(count), size_(size) {}
  Result<collect::Document> root() override { return fail(ErrorKind::internal, "not asked for"); }
  Result<std::string> manifest(const oci::Descriptor&) override {
    ++read;
    return fail(ErrorKind::not_found, "gone");
  }
  Result<void> blob(const oci::Descriptor&, std::uint64_t, const bundle::Writer::Sink&) override {
    return fail(ErrorKind::internal, "not asked for");
  }
  Result<std::vector<oci::Descriptor>> referrers(const Digest&) override {
    std::vector<oci::Descriptor> out(count_);
    for (std::size_t i = 0; i < count_; ++i) {
      out[i].digest = Digest::of(std::to_string(i));
      out[i].size = size_;
    }
    return out;
  }
  Result<std::optional<collect::Document>> tagged(const std::string&) override {
    return std::nullopt;
  }
  std::size_t read = 0;

 private:
  std::size_t count_;
  std::uint64_t size_;
};

TEST(CrowdedReferrers, MoreThanMemoryIsForIsRefused) {
  const collect::Subjects subjects{{Digest::of(std::string_view("image"))}, {}};
  CrowdedStore some(100, 1000);
  EXPECT_TRUE(collect::find_referrers(some, subjects));
  for (auto [count, size] : {std::pair(1001UL, 1000UL), std::pair(5UL, 8UL << 20U)}) {
    CrowdedStore store(count, size);
    const auto found = collect::find_referrers(store, subjects);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind, ErrorKind::unsupported);
    EXPECT_THAT(found.error().hint, HasSubstr("referrers: none"));
    EXPECT_LT(store.read, 5U);
  }
}

TEST_F(ReferrersTest, AllThatReferToManifestAndIndexAreCarried) {
  create(file());
  const auto reader = open(file());
  ASSERT_OK(reader);
  ASSERT_OK(reader->verify(nullptr));
  const auto& header = reader->header();
  EXPECT_THAT(carried_by(header),
              UnorderedElementsAre(Layout::digest(signature_), Layout::digest(bill_),
                                   Layout::digest(bundle_), Layout::digest(amd_build_)));
  for (const auto& item : header.referrers) {
    EXPECT_EQ(item.repository, "r.example/a");
    const auto manifest = parse_json(*reader->blob(item.digest), "manifest");
    ASSERT_OK(manifest);
    EXPECT_NE(header.find(*Digest::parse(Layout::digest((*manifest)["config"]))), nullptr);
    EXPECT_NE(header.find(*Digest::parse(Layout::digest((*manifest)["layers"][0]))), nullptr);
    const bool by_tag = item.digest.str() == Layout::digest(signature_);
    EXPECT_EQ(item.tag, by_tag ? Layout::tag(index_, ".sig") : "");
    const bool about_index = by_tag || item.digest.str() == Layout::digest(bundle_);
    EXPECT_EQ(item.subject.str(), Layout::digest(about_index ? index_ : amd_));
    if (item.digest.str() == Layout::digest(bill_)) {
      EXPECT_EQ(item.artifact_type, "application/spdx+json");
    }
  }
}

TEST_F(ReferrersTest, OnlyTheImageIsNamed) {
  create(file());
  const auto reader = open(file());
  const auto& entry = reader->header().entries.back();
  std::string text(entry.size, '\0');
  ASSERT_OK(read_exactly_at(
      reader->fd(), std::as_writable_bytes(std::span(text.data(), text.size())), entry.offset));
  const auto top = *parse_json(text, "index.json");
  ASSERT_THAT(top["manifests"], SizeIs(2));
  EXPECT_EQ(top["manifests"][1]["artifactType"], std::string(oci::media::contents));
  const auto contents =
      *parse_json(*reader->blob(*Digest::parse(Layout::digest(top["manifests"][1]))), "contents");
  EXPECT_THAT(contents["layers"], SizeIs(5));  // the kept index, too
}

TEST_F(ReferrersTest, TheSpecificationSaysWhichAreCarried) {
  spec_for("oci:layout:app", ", referrers: signatures");
  EXPECT_THAT(carried_by(*try_create(file())),
              UnorderedElementsAre(Layout::digest(signature_), Layout::digest(bundle_)));
  spec_for("oci:layout:app", ", referrers: none");
  EXPECT_THAT(carried_by(*try_create(file())), IsEmpty());
  spec_for("oci:layout:app", ", platform: linux/arm64");
  EXPECT_THAT(carried_by(*try_create(file())), SizeIs(4));
}

TEST_F(ReferrersTest, TwoTagsOfOneImageHaveThemOnce) {
  const auto one = carried_by(*try_create(file()));
  spec_ += "  - {name: 'r.example/a:2', source: 'oci:layout:app'}\n";
  EXPECT_EQ(carried_by(*try_create(file())), one);
  spec_ += "  - {name: 'r.example/b:1', source: 'oci:layout:app'}\n";
  EXPECT_THAT(carried_by(*try_create(file())), SizeIs(2 * one.size()));
}

TEST_F(ReferrersTest, WhatIsTooLargeIsLeftOutAndSaid) {
  auto layer = layout_->put("tiny", "application/octet-stream");
  layer["size"] = collect::largest_referrer;
  const auto large = layout_->manifest(layout_->put("{}", oci::media::empty), Json::array({layer}),
                                       {{"artifactType", "t"}, {"subject", index_}});
  layout_->add(large);
  EXPECT_THAT(carried_by(*try_create(file())), SizeIs(4));
  EXPECT_THAT(resolve_now().images.at("r.example/a:1").referrers, SizeIs(4));
  EXPECT_THAT(notes_.lines, ElementsAre(HasSubstr("larger than 64.0 MiB")));
  EXPECT_THAT(notes_.lines[0], HasSubstr(Layout::digest(large)));
}

TEST_F(ReferrersTest, AChangedOneIsCorrupt) {
  const auto path = layout_->blob(signature_);
  write(path, *read_file(path) + " ");
  const auto made = try_create(file());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(made.error().render(), HasSubstr(Layout::tag(index_, ".sig")));
  EXPECT_FALSE(fs::exists(file()));
}

TEST_F(ReferrersTest, AListThatNamesSomethingElseIsNotBelieved) {
  // The fallback tag of a registry that lies, or of a person who edited it.
  layout_->add(layout_->index(Json::array({layout_->referrer(arm_, "t", "about another")})),
               Layout::tag(index_, ""));
  EXPECT_THAT(carried_by(*try_create(file())), SizeIs(4));
  EXPECT_THAT(resolve_now().images.at("r.example/a:1").referrers, SizeIs(4));
  EXPECT_THAT(notes_.lines, ElementsAre(HasSubstr("does not refer to the image")));
}

TEST_F(ReferrersTest, TheFallbackTagIsALayoutsListToo) {
  const auto listed = layout_->referrer(index_, "t", "named by the list alone");
  layout_->add(layout_->index(Json::array({listed})), Layout::tag(index_, ""));
  EXPECT_THAT(carried_by(*try_create(file())), testing::Contains(Layout::digest(listed)));
}

TEST_F(ReferrersTest, ALockTakesWhatItKnowsAndNoMore) {
  const auto first = resolve_now();
  EXPECT_EQ(resolve_now().to_text(), first.to_text());
  EXPECT_EQ(collect::Lock::parse(first.to_text(), "bundle.lock")->to_text(), first.to_text());
  EXPECT_THAT(first.to_text(), HasSubstr(Layout::tag(index_, ".sig")));
  const auto later = layout_->referrer(index_, "t", "signed later");
  layout_->add(later);
  EXPECT_NE(resolve_now().to_text(), first.to_text());
  lock_ = first;
  const auto header = try_create(file());
  ASSERT_OK(header);
  EXPECT_THAT(carried_by(*header), SizeIs(4));

  fs::remove(layout_->blob(bill_));
  const auto made = try_create(file());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::not_found);
  EXPECT_THAT(made.error().render(), HasSubstr(Layout::digest(bill_)));
  EXPECT_THAT(made.error().hint, HasSubstr("bundle resolve"));
}

TEST_F(ReferrersTest, ALockWithABrokenListIsRefused) {
  auto value = *parse_json(resolve_now().to_text(), "lock");
  for (const auto& broken : {Json(1), Json::array({1}), Json::array({{{"subject", "x"}}})}) {
    value["images"]["r.example/a:1"]["referrers"] = broken;
    const auto lock = collect::Lock::parse(value.dump(), "bundle.lock");
    ASSERT_FALSE(lock);
    EXPECT_EQ(lock.error().kind, ErrorKind::invalid);
  }
}

TEST_F(ReferrersTest, ABundleIsASourceWithAllOfIt) {
  create(file());
  const auto first = open(file());
  spec_for("oci-archive:site.bundle:r.example/a:1");
  create(folder() / "second.bundle");
  const auto second = open(folder() / "second.bundle");
  ASSERT_OK(second);
  ASSERT_OK(second->verify(nullptr));
  EXPECT_EQ(second->header().images[0].index, first->header().images[0].index);
  EXPECT_EQ(carried_by(second->header()), carried_by(first->header()));
}

TEST_F(ReferrersTest, SeveralPlatformsStandUnderTheirIndex) {
  spec_for("oci:layout:app", ", platforms: [linux/amd64, linux/arm64]");
  create(file());
  const auto reader = open(file());
  ASSERT_OK(reader);
  ASSERT_OK(reader->verify(nullptr));
  const auto& image = reader->header().images[0];
  EXPECT_EQ(image.digest.str(), Layout::digest(index_));
  EXPECT_EQ(image.media_type, oci::media::index);
  EXPECT_FALSE(image.index);
  for (const auto& child : {amd_, arm_}) {
    const auto manifest = *parse_json(*reader->blob(*Digest::parse(Layout::digest(child))), "m");
    EXPECT_NE(reader->header().find(*Digest::parse(Layout::digest(manifest["layers"][0]))),
              nullptr);
    EXPECT_NE(reader->header().find(*Digest::parse(Layout::digest(manifest["config"]))), nullptr);
  }
  EXPECT_THAT(reader->header().referrers, SizeIs(6));

  const auto registry = registry::BundleRegistry::create(*reader);
  ASSERT_OK(registry);
  const auto digest_at = [&](const std::string& reference) {
    const auto path = "/v2/r.example/a/manifests/" + reference;
    ServerRequest request;
    request.method = "GET";
    request.path = path;
    const auto response = registry->handle(request);
    return Digest::of(response.shared_body).str();
  };
  EXPECT_EQ(digest_at("1"), Layout::digest(index_));
  EXPECT_EQ(digest_at(Layout::digest(arm_)), Layout::digest(arm_));

  lock_ = resolve_now();
  EXPECT_EQ(lock_->images.at("r.example/a:1").manifest, image.digest);
  ASSERT_OK(try_create(folder() / "second.bundle"));
  EXPECT_EQ(*digest_file(folder() / "second.bundle"), *digest_file(file()));
}

TEST_F(ReferrersTest, SeveralPlatformsNeedAnIndexThatHasThem) {
  spec_for("oci:layout:app", ", platforms: [linux/amd64, linux/s390x]");
  auto made = try_create(file());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::not_found);
  EXPECT_THAT(made.error().hint, HasSubstr("linux/amd64, linux/arm64"));
  layout_->clear();
  layout_->add(amd_, "app");
  spec_for("oci:layout:app", ", platforms: [linux/amd64, linux/arm64]");
  made = try_create(file());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::invalid);
  EXPECT_THAT(made.error().hint, HasSubstr("platform"));
}

}  // namespace
}  // namespace bedplate::bundle_test

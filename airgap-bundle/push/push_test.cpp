#include "airgap-bundle/push/push.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "airgap-bundle/push/referrers.hpp"
#include "airgap-bundle/push/report.hpp"
#include "airgap-bundle/tests/bundle_builder.hpp"
#include "airgap-bundle/tests/fake_registry.hpp"
#include "airgap-bundle/tests/fixture.hpp"

namespace bedplate::push {
namespace {

using bundle_test::BundleBuilder;
using bundle_test::FakeRegistry;
using bundle_test::noise;
using ::testing::HasSubstr;
using Request = FakeRegistry::Request;
using Reply = FakeRegistry::Reply;

constexpr auto index_type = "application/vnd.oci.image.index.v1+json";
constexpr auto manifest_type = "application/vnd.oci.image.manifest.v1+json";

class PushTest : public bundle_test::BundleTest {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("bedplate-push");
    ASSERT_OK(made);
    folder_.emplace(std::move(*made));
    to(registry_);
    options_.clock = &clock_;
    options_.workers = 4;
    options_.uploads = folder() / "uploads";
  }

  void to(FakeRegistry& registry) { to(registry.host() + "/k8s"); }
  void to(const std::string& where) {
    options_.target = *Target::parse(where);
    access_.set(options_.target.registry, {true, {}, {}});
  }

  Result<Outcome> push(bool dry_run = false) {
    auto reader = open(file());
    if (!reader) return fail(reader.error());
    return push_bundle(*reader, options_, access_, dry_run, nullptr);
  }
  Result<Outcome> push(const BundleBuilder& bundle) {
    bundle.write(file(), key_);
    return push();
  }
  /// Nothing has failed.
  void expect_pushed(const Result<Outcome>& outcome) {
    ASSERT_OK(outcome);
    const auto error = outcome->report.error(outcome->plan);
    EXPECT_FALSE(error) << error->render();
  }
  std::size_t writes() const {
    return registry_.count("POST", "") + registry_.count("PUT", "") + registry_.count("PATCH", "");
  }
  /// Where in the order of requests a manifest was sent.
  std::size_t position(const std::string& reference) const {
    const auto requests = registry_.requests();
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i].method == "PUT" && requests[i].path.ends_with("/manifests/" + reference)) {
        return i;
      }
    }
    ADD_FAILURE() << reference << " was not sent";
    return 0;
  }

  FakeRegistry registry_;
  FakeClock clock_;
  SystemProcessRunner runner_;
  registry::Access access_{runner_};
  Options options_;
};

class CreatedBundleTest : public PushTest {
 protected:
  void SetUp() override {
    PushTest::SetUp();
    const auto keep = std::move(folder_);
    BundleTest::SetUp();
    options_.uploads = folder() / "uploads";
    create(file());
  }
};

TEST_F(CreatedBundleTest, EverythingIsThereAndTheSecondRunSendsNothing) {
  const auto first = push();
  expect_pushed(first);
  const auto reader = open(file());
  ASSERT_OK(reader);
  const auto digest = [](const std::optional<std::string>& content) {
    return content ? Digest::of(*content) : Digest{};
  };
  EXPECT_EQ(digest(registry_.manifest("k8s/team/app", "1.0")), reader->header().images[0].digest);
  EXPECT_EQ(digest(registry_.manifest("k8s/library/app", "1.0")),
            reader->header().images[1].digest);
  EXPECT_EQ(digest(registry_.manifest("k8s/artifacts/tools", "v3")),
            reader->header().artifacts[0].digest);
  EXPECT_EQ(report_json(*first, options_.target)["items"][0]["state"], "pushed");

  const auto before = writes();
  const auto second = push();
  expect_pushed(second);
  EXPECT_EQ(writes(), before);
  const auto report = report_json(*second, options_.target);
  for (const auto& item : report["items"]) EXPECT_EQ(item["state"], "already there");
  EXPECT_EQ(report["blobs"]["sent"], 0);
}

TEST_F(CreatedBundleTest, DryRunSaysWhatWouldBeSentAndWritesNothing) {
  const auto planned = push(true);
  ASSERT_OK(planned);
  EXPECT_EQ(writes(), 0U);
  EXPECT_FALSE(std::filesystem::exists(folder() / "uploads"));
  const auto plan = plan_json(planned->plan, options_.target);
  std::uint64_t sum = 0;
  for (const auto& item : plan["items"]) {
    EXPECT_EQ(item["state"], "to be pushed");
    sum += item["bytes"].get<std::uint64_t>();
  }
  EXPECT_EQ(sum, plan["bytes"]) << "what images share is counted once";
  const auto pushed = push();
  expect_pushed(pushed);
  EXPECT_EQ(pushed->report.sent_bytes, plan["bytes"]) << "to the byte";
  const auto again = push(true);
  ASSERT_OK(again);
  EXPECT_EQ(again->plan.bytes(), 0U);
  EXPECT_THAT(plan_text(again->plan, options_.target), HasSubstr("3 of 3 are already there"));
}

TEST_F(PushTest, SharedBlobIsSentOnceAndThenTakenOver) {
  const auto shared = noise(300'000, 1);
  BundleBuilder bundle;
  for (const std::string name : {"a", "b", "c"}) {
    bundle.name("r.example/" + name + ":1", bundle.image({shared, name}));
  }
  const auto outcome = push(bundle);
  expect_pushed(outcome);
  EXPECT_EQ(registry_.count("PUT", Digest::of(shared).str()), 1U);
  EXPECT_EQ(registry_.count("POST", "mount=" + Digest::of(shared).str()), 2U);
  EXPECT_EQ(outcome->report.mounted_blobs, 2U);
  for (const auto* name : {"a", "b", "c"}) {
    EXPECT_EQ(registry_.blob(std::string("k8s/") + name, Digest::of(shared).str()), shared);
  }
}

TEST_F(PushTest, WithoutTakingOverItIsSentToEach) {
  registry_.mounts = false;
  BundleBuilder bundle;
  for (const std::string name : {"a", "b"}) {
    bundle.name("r.example/" + name + ":1", bundle.image({"shared", name}));
  }
  expect_pushed(push(bundle));
  EXPECT_EQ(registry_.blob("k8s/b", Digest::of(std::string_view("shared")).str()), "shared");
}

TEST_F(PushTest, RepositoryThatRefusesABlobDoesNotKeepItFromOthers) {
  registry_.script = [](const Request& request) -> std::optional<Reply> {
    if (request.method == "POST" && request.path.starts_with("/v2/k8s/a/")) {
      return Reply{403, {}, ""};
    }
    return std::nullopt;
  };
  BundleBuilder bundle;
  for (const std::string name : {"a", "b", "c"}) {
    bundle.name("r.example/" + name + ":1", bundle.image({"shared", name}));
  }
  const auto outcome = push(bundle);
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->report.failed, 1U);
  EXPECT_EQ(outcome->report.error(outcome->plan)->kind, ErrorKind::untrusted);
  EXPECT_FALSE(registry_.manifest("k8s/a", "1"));
  EXPECT_TRUE(registry_.manifest("k8s/b", "1"));
  EXPECT_TRUE(registry_.manifest("k8s/c", "1"));
}

TEST_F(PushTest, SameNameFromTwoRegistriesIsAConflictUnlessTheyAreKept) {
  BundleBuilder bundle;
  bundle.name("one.example/app:1", bundle.image({"one"}));
  bundle.name("two.example/app:1", bundle.image({"two"}));
  const auto outcome = push(bundle);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::conflict);
  EXPECT_THAT(outcome.error().hint, HasSubstr("--keep-registry"));
  EXPECT_EQ(registry_.requests().size(), 0U);
  options_.target.keep_registry = true;
  expect_pushed(push());
  EXPECT_TRUE(registry_.manifest("k8s/one.example/app", "1"));
  EXPECT_TRUE(registry_.manifest("k8s/two.example/app", "1"));
}

TEST_F(PushTest, ImmutableTagsFailAloneAndAreAllNamed) {
  BundleBuilder bundle;
  for (const std::string name : {"a", "b", "c"}) {
    bundle.name("r.example/" + name + ":1", bundle.image({name}));
  }
  for (const auto* name : {"k8s/a", "k8s/c"}) {
    registry_.put_manifest(name, "1", R"({"another": "image"})");
    registry_.immutable.insert(std::string(name) + ":1");
  }
  const auto outcome = push(bundle);
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->report.failed, 2U);
  const auto error = outcome->report.error(outcome->plan);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::conflict);
  EXPECT_THAT(error->what, HasSubstr("2 of 3"));
  EXPECT_THAT(error->what, HasSubstr("r.example/a:1"));
  EXPECT_THAT(error->what, HasSubstr("r.example/c:1"));
  EXPECT_TRUE(registry_.manifest("k8s/b", "1"));
  const auto report = report_json(*outcome, options_.target);
  EXPECT_EQ(report["items"][0]["state"], "failed");
  EXPECT_EQ(report["items"][0]["errors"].size(), 1U);
  EXPECT_EQ(report["items"][0]["replaces"],
            Digest::of(std::string_view(R"({"another": "image"})")).str());
  EXPECT_EQ(report["items"][1]["state"], "pushed");
}

TEST_F(PushTest, ImmutableTagWithTheSameDigestIsAlreadyThere) {
  BundleBuilder bundle;
  bundle.name("r.example/a:1", bundle.image({"a"}));
  expect_pushed(push(bundle));
  registry_.immutable.insert("k8s/a:1");
  expect_pushed(push());
}

/// An image that was chosen from an index whose other child is not in the bundle.
class SparseIndexTest : public PushTest {
 protected:
  void SetUp() override {
    PushTest::SetUp();
    image_ = bundle_.image({"layer"});
    const auto index = bundle_.blob(Json{
        {"schemaVersion", 2},
        {"mediaType", index_type},
        {"manifests",
         {image_.descriptor(manifest_type),
          {{"mediaType", manifest_type},
           {"digest", Digest::of(std::string_view("absent")).str()},
           {"size", 6}}}}}.dump());
    index_ = index.digest;
    bundle_.name("r.example/a:1", image_, index_);
  }
  BundleBuilder bundle_;
  BundleBuilder::Blob image_;
  Digest index_;
};

TEST_F(SparseIndexTest, GoesWhereItIsTakenAfterItsChildAndBeforeTheTag) {
  const auto outcome = push(bundle_);
  expect_pushed(outcome);
  EXPECT_TRUE(registry_.manifest("k8s/a", index_.str()));
  EXPECT_LT(position(image_.digest.str()), position(index_.str()));
  EXPECT_LT(position(index_.str()), position("1"));
  EXPECT_EQ(Digest::of(*registry_.manifest("k8s/a", "1")), image_.digest);
  EXPECT_TRUE(outcome->report.items[0].not_possible.empty());
}

TEST_F(SparseIndexTest, RefusalIsReportedAndIsNoFailure) {
  registry_.refuses_sparse = true;
  const auto outcome = push(bundle_);
  expect_pushed(outcome);
  EXPECT_TRUE(registry_.manifest("k8s/a", "1"));
  EXPECT_FALSE(registry_.manifest("k8s/a", index_.str()));
  EXPECT_THAT(report_text(*outcome, options_.target),
              HasSubstr("served by the bundle registry as fallback"));
  EXPECT_EQ(report_json(*outcome, options_.target)["items"][0]["notPossible"][0]["digest"],
            index_.str());
}

/// With `platforms:` the name stands for the index itself.
TEST_F(SparseIndexTest, RefusalOfAnImageThatIsAnIndexIsAFailure) {
  registry_.refuses_sparse = true;
  bundle_.header.images.back() = {"r.example/a:1", index_, index_type, "", {}};
  for (int run = 0; run < 2; ++run) {
    const auto outcome = push(bundle_);
    ASSERT_OK(outcome);
    EXPECT_TRUE(registry_.manifest("k8s/a", image_.digest.str()));
    EXPECT_FALSE(registry_.manifest("k8s/a", "1")) << "nobody can pull it by its name";
    EXPECT_EQ(outcome->report.failed, 1U);
    EXPECT_THAT(report_text(*outcome, options_.target), HasSubstr("failed"));
    EXPECT_THAT(outcome->report.items[0].errors[0].hint, HasSubstr("list every platform"));
  }
}

TEST_F(SparseIndexTest, RefusalOfTheAccountIsAFailure) {
  registry_.script = [&](const Request& request) -> std::optional<Reply> {
    if (request.method == "PUT" && request.path.ends_with(index_.str())) return Reply{403, {}, ""};
    return std::nullopt;
  };
  const auto outcome = push(bundle_);
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->report.failed, 1U);
  EXPECT_FALSE(registry_.manifest("k8s/a", "1")) << "the tag comes last";
}

/// An image with a signature as cosign tags it, and with an SBOM that names it as its subject.
class PushReferrersTest : public PushTest {
 protected:
  void SetUp() override {
    PushTest::SetUp();
    image_ = bundle_.image({"layer"});
    bundle_.name("r.example/a:1", image_);
    sbom_ = bundle_.image({"sbom"}, {{"artifactType", "application/spdx+json"},
                                     {"subject", image_.descriptor(manifest_type)},
                                     {"annotations", {{"by", "a test"}}}});
    signature_ = bundle_.image({"signature"});
    signature_tag_ = "sha256-" + image_.digest.hex() + ".sig";
    bundle_.header.referrers = {
        {"r.example/a", image_.digest, sbom_.digest, manifest_type, "application/spdx+json", ""},
        {"r.example/a", image_.digest, signature_.digest, manifest_type, "", signature_tag_}};
    tag_ = referrers_tag(image_.digest);
  }
  BundleBuilder bundle_;
  BundleBuilder::Blob image_;
  BundleBuilder::Blob sbom_;
  BundleBuilder::Blob signature_;
  std::string signature_tag_;
  std::string tag_;
};

TEST_F(PushReferrersTest, ComeAfterTheirSubjectAndBeforeTheTag) {
  expect_pushed(push(bundle_));
  EXPECT_LT(position(image_.digest.str()), position(sbom_.digest.str()));
  EXPECT_LT(position(sbom_.digest.str()), position("1"));
  EXPECT_EQ(Digest::of(*registry_.manifest("k8s/a", signature_tag_)), signature_.digest);
  EXPECT_FALSE(registry_.manifest("k8s/a", tag_)) << "the registry lists them by itself";
}

TEST_F(PushReferrersTest, AreListedUnderATagWhereTheRegistryDoesNot) {
  registry_.lists_referrers = false;
  registry_.put_manifest("k8s/a", tag_,
                         R"({"schemaVersion":2,"manifests":[{"digest":"sha256:other"}]})");
  expect_pushed(push(bundle_));
  const auto index = parse_json(registry_.manifest("k8s/a", tag_).value_or(""), "index");
  ASSERT_OK(index);
  ASSERT_EQ((*index)["manifests"].size(), 2U) << "what others have put there stays";
  const auto& listed = (*index)["manifests"][1];
  EXPECT_EQ(listed["digest"], sbom_.digest.str());
  EXPECT_EQ(listed["size"], sbom_.size);
  EXPECT_EQ(listed["artifactType"], "application/spdx+json");
  EXPECT_EQ(listed["annotations"]["by"], "a test");
}

TEST_F(PushReferrersTest, WhatAnotherRunWritesOverIsListedAgain) {
  registry_.lists_referrers = false;
  bundle_.write(file(), key_);
  const std::string theirs =
      R"({"schemaVersion":2,"manifests":[{"digest":"sha256:other","mediaType":"m","size":1}]})";
  int puts = 0;
  bool written_over = false;
  registry_.script = [&](const Request& request) -> std::optional<Reply> {
    if (!request.path.ends_with(tag_)) return std::nullopt;
    if (request.method == "PUT") ++puts;
    if (request.method != "GET" || puts != 1 || written_over) return std::nullopt;
    // Another run had read the list before ours was there, and writes it now.
    written_over = true;
    return Reply{200, {{"Content-Type", index_type}}, theirs};
  };
  expect_pushed(push());
  EXPECT_EQ(puts, 2);
  registry_.script = [&](const Request& request) -> std::optional<Reply> {
    if (request.method != "GET" || !request.path.ends_with(tag_)) return std::nullopt;
    return Reply{200, {{"Content-Type", index_type}}, theirs};
  };
  const auto endless = push();
  ASSERT_OK(endless);
  EXPECT_EQ(endless->report.failed, 1U);
}

TEST_F(PushReferrersTest, ListThatAKilledRunDidNotWriteIsWrittenByTheNext) {
  registry_.lists_referrers = false;
  bundle_.write(file(), key_);
  registry_.script = [&](const Request& request) -> std::optional<Reply> {
    if (request.method == "PUT" && request.path.ends_with(tag_)) return Reply{400, {}, ""};
    return std::nullopt;
  };
  const auto broken = push();
  ASSERT_OK(broken);
  EXPECT_EQ(broken->report.failed, 1U);
  EXPECT_TRUE(registry_.manifest("k8s/a", "1")) << "the image is worth having without";
  registry_.script = nullptr;
  expect_pushed(push());
  EXPECT_TRUE(registry_.manifest("k8s/a", tag_));
  const auto before = writes();
  expect_pushed(push());
  EXPECT_EQ(writes(), before);
}

TEST_F(PushTest, ChartsAreWhereHelmLooks) {
  BundleBuilder bundle;
  const auto chart = bundle.image({"chart"});
  bundle.header.charts.push_back({"harbor", "1.2.3+4", "harbor", chart.digest, {}, {}, ""});
  expect_pushed(push(bundle));
  EXPECT_TRUE(registry_.manifest("k8s/charts/harbor", "1.2.3_4"));
}

TEST_F(PushTest, DifferenceNeedsItsBase) {
  const auto layer = noise(200'000, 3);
  BundleBuilder base;
  base.name("r.example/a:1", base.image({layer}));
  BundleBuilder difference;
  difference.name("r.example/a:2", difference.image({layer, "new"}));
  difference.name("r.example/b:1", difference.image({"alone"}));
  difference.leave_out(difference.blob(layer));
  const auto without = push(difference);
  ASSERT_OK(without);
  EXPECT_EQ(without->report.failed, 1U);
  const auto error = without->report.error(without->plan);
  EXPECT_EQ(error->kind, ErrorKind::not_found);
  EXPECT_THAT(error->what, HasSubstr("push its base first"));
  EXPECT_TRUE(registry_.manifest("k8s/b", "1"));
  expect_pushed(push(base));
  expect_pushed(push(difference));
  EXPECT_TRUE(registry_.manifest("k8s/a", "2"));
}

TEST_F(PushTest, DifferenceTakesABlobOverFromAnotherRepository) {
  BundleBuilder bundle;
  bundle.name("r.example/a:1", bundle.image({"layer"}));
  expect_pushed(push(bundle));
  BundleBuilder difference;
  difference.name("r.example/a:1", difference.image({"layer"}));
  difference.name("r.example/b:1", difference.image({"layer", "more"}));
  difference.leave_out(difference.blob("layer"));
  expect_pushed(push(difference));
  EXPECT_TRUE(registry_.blob("k8s/b", Digest::of(std::string_view("layer")).str()));
}

TEST_F(PushTest, RegistryThatIsNotThereIsOneError) {
  to("127.0.0.1:1");
  BundleBuilder bundle;
  bundle.name("r.example/a:1", bundle.image({"a"}));
  const auto outcome = push(bundle);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::network);
}

TEST_F(PushTest, RegistryThatGoesAwayIsNotWaitedForByEachBlob) {
  BundleBuilder bundle;
  for (int i = 0; i < 200; ++i) {
    bundle.name(fmt::format("r.example/a{}:1", i), bundle.image({fmt::format("layer {}", i)}));
  }
  registry_.script = [](const Request& request) -> std::optional<Reply> {
    if (request.method != "POST") return std::nullopt;
    return Reply{503, {}, ""};
  };
  options_.workers = 1;  // one after the other: an exact count
  const auto outcome = push(bundle);
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->report.failed, 200U);
  EXPECT_EQ(registry_.count("POST", ""), 2U * 5U) << "two blobs, five times each";
  EXPECT_EQ(outcome->report.error(outcome->plan)->kind, ErrorKind::network);
}

TEST_F(PushTest, RegistryThatGoesAwayIsNotAskedForEachImage) {
  BundleBuilder bundle;
  for (int i = 0; i < 200; ++i) {
    bundle.name(fmt::format("r.example/a{}:1", i), bundle.image({"layer"}));
  }
  bundle.write(file(), key_);
  registry_.script = [](const Request& request) -> std::optional<Reply> {
    if (request.method != "HEAD") return std::nullopt;
    return Reply{503, {}, ""};
  };
  options_.workers = 1;
  const auto outcome = push(true);
  ASSERT_OK(outcome);
  EXPECT_EQ(registry_.count("HEAD", ""), 2U * 5U) << "two images, five times each";
  EXPECT_EQ(outcome->report.failed, 200U) << "a dry run says so, too";
  EXPECT_EQ(outcome->report.error(outcome->plan)->kind, ErrorKind::network);
}

TEST_F(PushTest, RateIsBounded) {
  options_.limit_rate = 100'000;
  options_.workers = 1;
  BundleBuilder bundle;
  bundle.name("r.example/a:1", bundle.image({noise(1'000'000, 5)}));
  expect_pushed(push(bundle));
  EXPECT_GE(clock_.uptime, std::chrono::seconds(9));
}

}  // namespace
}  // namespace bedplate::push

#include "airgap-bundle/supply/policy.hpp"

#include <gmock/gmock.h>

#include "airgap-bundle/supply/pattern.hpp"
#include "airgap-bundle/tests/layout.hpp"
#include "core/process_fake.hpp"

namespace bedplate::bundle_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Pattern, StarsStandForPartsOfNames) {
  const auto image = *oci::Reference::parse("registry.example/team/app:1.0");
  for (const auto* pattern :
       {"registry.example/team/app", "registry.example/**", "**", "registry.example/*/app",
        "*.example/team/a*", "registry.example/team/app:1.0", "registry.example/team/*:1.*",
        "**/app"}) {
    EXPECT_TRUE(supply::means(pattern, image)) << pattern;
  }
  for (const auto* pattern :
       {"", "*", "registry.example", "registry.example/*", "registry.example/team",
        "registry.example/team/app:2", "registry.example/team/ap", "Registry.example/**",
        "evil.registry.example/**", "registry.example/team/app/**"}) {
    EXPECT_FALSE(supply::means(pattern, image)) << pattern;
  }
  const auto long_one = *oci::Reference::parse("r.example/" + std::string(400, 'a') + ":1");
  std::string many;
  for (int i = 0; i < 60; ++i) many += "*a";
  EXPECT_FALSE(supply::means(many + "b", long_one));
}

TEST(Pattern, DockerHubIsMeantByAllItsNames) {
  const auto redis = *oci::Reference::parse("docker.io/redis:7");
  for (const auto* pattern :
       {"docker.io/redis", "docker.io/library/redis", "index.docker.io/redis:7",
        "index.docker.io/**", "docker.io/library/*"}) {
    EXPECT_TRUE(supply::means(pattern, redis)) << pattern;
  }
  const auto other = *oci::Reference::parse("docker.io/team/redis:7");
  EXPECT_TRUE(supply::means("index.docker.io/team/*", other));
  EXPECT_FALSE(supply::means("docker.io/redis", other));
  EXPECT_FALSE(supply::means("docker.io/redis", *oci::Reference::parse("r.example/redis:7")));
}

/// Images in a layout, and a policy for all of them.
class PolicyTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    layout_.emplace(folder() / "layout");
    write(folder() / "team.pub", signer_.public_pem());
    write(folder() / "other.pub", Signer::ecdsa().public_pem());
    amd_ = layout_->image("amd64");
    arm_ = layout_->image("arm64");
    index_ = layout_->index({amd_, arm_});
    layout_->add(index_, "app");
    policy("signature");
  }

  void policy(const std::string& require, const std::string& keys = "[other.pub, team.pub]",
              const std::string& image = "") {
    spec_ =
        "kind: Bundle\nname: a\nversion: '1'\nimages:\n"
        "  - {name: 'r.example/team/app:1', source: 'oci:layout:app'" +
        image + "}\npolicy:\n  - {images: 'r.example/**', keys: " + keys + ", require: '" +
        require + "'}\n";
  }

  void sign(const Signer& signer, const Json& image, const std::string& about,
            const std::string& repository = "r.example/team/app") {
    layout_->add(layout_->signature(signer, simple_payload(about, repository)),
                 Layout::tag(image, ".sig"));
  }
  void sign_new(const Signer& signer, const Json& image, const std::string& body) {
    const std::string type = "application/vnd.dev.sigstore.bundle.v0.3+json";
    layout_->add(layout_->referrer(image, type, sigstore_bundle(envelope(signer, body)), type));
  }

  /// The reason for which no bundle is made, by create and by resolve alike.
  std::string refused() {
    fs::remove(file());
    const auto made = try_create(file());
    EXPECT_FALSE(made);
    EXPECT_FALSE(fs::exists(file()) || fs::exists(file().string() + ".partial"));
    const auto spec = collect::parse_spec(spec_, "bundle.yaml");
    FakeProcessRunner none;
    const auto lock = collect::resolve(*spec, folder(), "", none, nullptr);
    EXPECT_FALSE(lock);
    if (made || lock) return "was accepted";
    EXPECT_EQ(made.error().kind, ErrorKind::untrusted);
    EXPECT_EQ(lock.error().what, made.error().what);
    EXPECT_THAT(made.error().render(), HasSubstr("hint: "));
    EXPECT_THAT(made.error().what,
                AllOf(HasSubstr("r.example/team/app:1"), HasSubstr("r.example/**"),
                      HasSubstr("bundle.yaml:7"), HasSubstr("team.pub (SHA256:"),
                      HasSubstr("other.pub (SHA256:")));
    return made.error().what;
  }

  std::optional<Layout> layout_;
  Signer signer_ = Signer::ecdsa();
  Json amd_, arm_, index_;
};

TEST_F(PolicyTest, AnUnsignedImageIsRefused) {
  EXPECT_THAT(refused(), HasSubstr("nothing signed hangs on it"));
}

TEST_F(PolicyTest, ASignatureOverTheIndexIsEnough) {
  sign(signer_, index_, Layout::digest(index_));
  EXPECT_TRUE(try_create(file()));
}

TEST_F(PolicyTest, ASignatureOverTheManifestIsEnough) {
  sign(signer_, amd_, Layout::digest(amd_));
  EXPECT_TRUE(try_create(file()));
}

TEST_F(PolicyTest, EveryPlatformMustBeSigned) {
  policy("signature", "[other.pub, team.pub]", ", platforms: [linux/amd64, linux/arm64]");
  sign(signer_, amd_, Layout::digest(amd_));
  EXPECT_THAT(refused(), HasSubstr("not every platform"));
  sign(signer_, arm_, Layout::digest(arm_));
  EXPECT_TRUE(try_create(file()));
}

TEST_F(PolicyTest, AnotherKeyIsRefused) {
  sign(Signer::ecdsa(), index_, Layout::digest(index_));
  EXPECT_THAT(refused(), AllOf(HasSubstr("signed by none of the keys"),
                               HasSubstr(Layout::tag(index_, ".sig"))));
}

TEST_F(PolicyTest, ASignatureForAnotherImageIsRefused) {
  sign(signer_, index_, Layout::digest(arm_));
  EXPECT_THAT(refused(), HasSubstr("is for another image, " + Layout::digest(arm_)));
}

TEST_F(PolicyTest, ASignatureForAnotherRepositoryIsRefused) {
  sign(signer_, index_, Layout::digest(index_), "r.example/team/other");
  EXPECT_THAT(refused(), HasSubstr("is for the repository r.example/team/other"));
}

TEST_F(PolicyTest, ASignatureForAnotherTagIsRefused) {
  sign(signer_, index_, Layout::digest(index_), "r.example/team/app:2");
  EXPECT_THAT(refused(), HasSubstr("is for the repository r.example/team/app:2"));
  layout_->clear();
  layout_->add(index_, "app");
  sign(signer_, index_, Layout::digest(index_), "r.example/team/app:1");
  EXPECT_TRUE(try_create(file()));
}

TEST_F(PolicyTest, AChangedPayloadIsRefused) {
  const auto payload = simple_payload(Layout::digest(index_), "r.example/team/app");
  const auto before = layout_->signature(signer_, simple_payload(Layout::digest(index_), "other"));
  auto layer = (*parse_json(*read_file(layout_->blob(before)), "signature"))["layers"][0];
  layer.update(layout_->put(payload, oci::media::simple_signing));
  layout_->add(layout_->manifest(layout_->put("{}", oci::media::config), Json::array({layer})),
               Layout::tag(index_, ".sig"));
  EXPECT_THAT(refused(), HasSubstr("signed by none of the keys"));
}

TEST_F(PolicyTest, TheNewFormIsASignatureToo) {
  sign_new(signer_, index_,
           statement(Layout::digest(index_), "https://sigstore.dev/cosign/sign/v1"));
  EXPECT_TRUE(try_create(file()));
}

TEST_F(PolicyTest, TheNewFormByAnotherKeyOrForAnotherImageIsRefused) {
  sign_new(Signer::rsa(), index_,
           statement(Layout::digest(index_), "https://sigstore.dev/cosign/sign/v1"));
  sign_new(signer_, index_, statement(Layout::digest(arm_), "https://sigstore.dev/cosign/sign/v1"));
  EXPECT_THAT(refused(), AllOf(HasSubstr("signed by none of the keys"),
                               HasSubstr("is for another image, " + Layout::digest(arm_))));
}

TEST_F(PolicyTest, AnAttestationOfTheRightTypeIsAskedFor) {
  policy("attestation:https://slsa.dev/provenance/v1");
  sign(signer_, index_, Layout::digest(index_));
  EXPECT_THAT(refused(), AllOf(HasSubstr("a valid attestation of type https://slsa.dev"),
                               HasSubstr("is a signature, not an attestation")));
  sign_new(signer_, index_, statement(Layout::digest(index_), "https://spdx.dev/Document"));
  EXPECT_THAT(refused(), HasSubstr("is an attestation of type https://spdx.dev/Document"));
  const auto body = statement(Layout::digest(amd_), "https://slsa.dev/provenance/v1");
  const auto layer = layout_->put(envelope(signer_, body).dump(), oci::media::dsse);
  layout_->add(layout_->manifest(layout_->put("{}", oci::media::config), Json::array({layer})),
               Layout::tag(amd_, ".att"));
  EXPECT_TRUE(try_create(file()));
}

TEST_F(PolicyTest, AnAttestationIsNoSignature) {
  sign_new(signer_, index_, statement(Layout::digest(index_), "https://spdx.dev/Document"));
  EXPECT_THAT(refused(), HasSubstr("is an attestation of type https://spdx.dev/Document"));
}

TEST_F(PolicyTest, EveryRuleThatMeansTheImageMustBeSatisfied) {
  write(folder() / "second.pub", signer_.public_pem());
  sign(signer_, index_, Layout::digest(index_));
  spec_ += "  - {images: 'r.example/team/*', keys: [other.pub]}\n";
  const auto made = try_create(file());
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().what, AllOf(HasSubstr("r.example/team/*"), HasSubstr("bundle.yaml:8"),
                                       Not(HasSubstr("bundle.yaml:7"))));
}

TEST_F(PolicyTest, AllImagesAreReportedAtOnce) {
  layout_->add(layout_->image("amd64", "", "another layer"), "second");
  spec_.insert(spec_.find("policy:"),
               "  - {name: 'r.example/second:1', source: 'oci:layout:second'}\n"
               "  - {name: 'elsewhere.example/third:1', source: 'oci:layout:second'}\n");
  const auto made = try_create(file());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::untrusted);
  EXPECT_THAT(made.error().what,
              AllOf(HasSubstr("r.example/team/app:1"), HasSubstr("r.example/second:1"),
                    HasSubstr("2 of 3 images"), Not(HasSubstr("elsewhere"))));
}

TEST_F(PolicyTest, WhatIsCarriedDoesNotChangeWhatIsChecked) {
  policy("signature", "[other.pub, team.pub]", ", referrers: none");
  EXPECT_THAT(refused(), HasSubstr("nothing signed hangs on it"));
  sign(signer_, index_, Layout::digest(index_));
  const auto header = try_create(file());
  ASSERT_OK(header);
  EXPECT_TRUE(header->referrers.empty());
}

TEST_F(PolicyTest, WhatIsMadeHereNeedsNoSignature) {
  const auto at = spec_.find("oci:layout:app");
  spec_.replace(at, 14, "rootfs:app");
  EXPECT_TRUE(try_create(file()));
}

TEST_F(PolicyTest, KeysAreReadBeforeAnythingIsAsked) {
  policy("signature", "[absent.pub]");
  auto made = try_create(file());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::not_found);
  EXPECT_THAT(made.error().render(), AllOf(HasSubstr("absent.pub"), HasSubstr("bundle.yaml:7")));
  write(folder() / "absent.pub", "not a key");
  made = try_create(file());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace bedplate::bundle_test

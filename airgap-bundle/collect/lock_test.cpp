#include "airgap-bundle/collect/lock.hpp"

#include <gmock/gmock.h>

#include "airgap-bundle/collect/create.hpp"
#include "airgap-bundle/tests/fixture.hpp"
#include "core/process_fake.hpp"

namespace bedplate::collect {
namespace {

namespace fs = bundle_test::fs;
using bundle_test::write;
using testing::HasSubstr;

class LockTest : public bundle_test::BundleTest {
 protected:
  Lock resolve_now() {
    const auto spec = parse_spec(spec_, "bundle.yaml");
    EXPECT_TRUE(spec);
    auto lock = resolve(*spec, folder(), "", none_, nullptr);
    EXPECT_TRUE(lock) << lock.error().render();
    return lock ? *lock : Lock{};
  }

  FakeProcessRunner none_;
};

TEST_F(LockTest, TheSameContentGivesTheSameText) {
  const auto lock = resolve_now();
  EXPECT_EQ(lock.trees.size(), 2U);
  EXPECT_EQ(lock.files.size(), 3U);
  EXPECT_EQ(resolve_now().to_text(), lock.to_text());
  const auto back = Lock::parse(lock.to_text(), "bundle.lock");
  ASSERT_TRUE(back) << back.error().render();
  EXPECT_EQ(back->to_text(), lock.to_text());
}

TEST_F(LockTest, CreateTakesWhatIsLocked) {
  lock_ = resolve_now();
  EXPECT_TRUE(try_create(file()));
}

TEST_F(LockTest, AChangedFileIsRefusedByName) {
  lock_ = resolve_now();
  write(folder() / "tools/readme", "changed since");
  const auto header = try_create(file());
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(header.error().what, HasSubstr("tools/opt/readme is sha256:"));
  EXPECT_FALSE(fs::exists(file()));
}

TEST_F(LockTest, AChangedTreeIsRefusedByName) {
  lock_ = resolve_now();
  write(folder() / "app/etc/new", "");
  const auto header = try_create(file());
  ASSERT_FALSE(header);
  EXPECT_THAT(header.error().what, HasSubstr("registry.example/team/app:1.0 is sha256:"));
}

TEST_F(LockTest, WhatTheLockDoesNotKnowIsRefused) {
  lock_ = resolve_now();
  write(folder() / "tools/later", "new");
  const auto header = try_create(file());
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().kind, ErrorKind::not_found);
  EXPECT_THAT(header.error().what, HasSubstr("the lock has no tools/opt/later"));
  EXPECT_THAT(header.error().hint, HasSubstr("bedplate bundle resolve"));
}

TEST_F(LockTest, ADamagedLockIsRefused) {
  const auto whole = resolve_now().to_text();
  for (const auto* text : {"", "{}", "[]", R"({"kind": "BundleLock"})",
                           R"({"kind": "BundleLock", "images": {"a": {"digest": "x"}}})"}) {
    const auto lock = Lock::parse(text, "bundle.lock");
    ASSERT_FALSE(lock) << text;
    EXPECT_EQ(lock.error().kind, ErrorKind::invalid);
    EXPECT_THAT(lock.error().render(), HasSubstr("bundle.lock"));
  }
  for (std::size_t cut = 0; cut + 1 < whole.size(); cut += 37) {
    EXPECT_FALSE(Lock::parse(whole.substr(0, cut), "bundle.lock"));
  }
}

}  // namespace
}  // namespace bedplate::collect

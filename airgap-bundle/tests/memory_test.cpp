#include <functional>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airgap-bundle/tests/fixture.hpp"

namespace bedplate::bundle_test {
namespace {

constexpr long most_memory_kib = 64 << 10;

class MemoryTest : public BundleTest {
 protected:
  void SetUp() override {
    BundleTest::SetUp();
    // 300 MiB: holes, and noise at both ends so that something is left to write.
    for (const auto* path : {"app/data/large", "tools/large"}) {
      write(folder() / path, noise(4 << 20, 5));
      fs::resize_file(folder() / path, 150ULL << 20);
    }
  }

  /// Peak of the memory that a process needs for `work`, in KiB.
  static long peak(const std::function<bool()>& work) {
    const auto child = ::fork();
    if (child == 0) ::_exit(work() ? 0 : 1);
    int status = 0;
    rusage usage{};
    EXPECT_EQ(::wait4(child, &status, 0, &usage), child);
    EXPECT_EQ(status, 0);
    return usage.ru_maxrss;
  }
};

TEST_F(MemoryTest, CreateVerifyAndExtractStayUnder64MiB) {
  EXPECT_LT(peak([&] { return try_create(file()).has_value(); }), most_memory_kib);
  EXPECT_LT(peak([&] { return open(file())->verify(nullptr).has_value(); }), most_memory_kib);
  EXPECT_LT(
      peak([&] { return open(file())->extract("tools", folder() / "out", nullptr).has_value(); }),
      most_memory_kib);
}

}  // namespace
}  // namespace bedplate::bundle_test

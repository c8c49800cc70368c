#include "imagebuild/closure.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/process_fake.hpp"

namespace bedplate::image {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kLdd =
    "\tlinux-vdso.so.1 (0x00007ffc1f5f2000)\n"
    "\tlibssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007f2b1c000000)\n"
    "\tlibstdc++.so.6 => /lib/x86_64-linux-gnu/libstdc++.so.6 (0x00007f2b1bc00000)\n"
    "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2b1b800000)\n"
    "\tlibcrypto.so.3 => /opt/dir with blank/libcrypto.so.3 (0x00007f2b1b000000)\n"
    "\tlibresolv.so.2 => /lib/x86_64-linux-gnu/libresolv.so.2 (0x00007f2b1a000000)\n"
    "\t/lib64/ld-linux-x86-64.so.2 (0x00007f2b1c6d0000)\n";

TEST(Closure, ReadsLdd) {
  const auto paths = parse_ldd(kLdd);
  ASSERT_TRUE(paths);
  EXPECT_EQ(paths->size(), 6U);
  EXPECT_EQ(paths->at(3), "/opt/dir with blank/libcrypto.so.3");
  EXPECT_EQ(paths->back(), "/lib64/ld-linux-x86-64.so.2");
}

TEST(Closure, NamesWhatIsMissing) {
  const auto paths = parse_ldd("\tliba.so.1 => not found\n\tlibb.so.2 => not found\n");
  ASSERT_FALSE(paths);
  EXPECT_EQ(paths.error().kind, ErrorKind::dependency);
  EXPECT_EQ(paths.error().what, "shared libraries not found: liba.so.1, libb.so.2");
}

TEST(Closure, StaticProgramsHaveNone) {
  const auto paths = parse_ldd("\tstatically linked\n");
  ASSERT_TRUE(paths);
  EXPECT_TRUE(paths->empty());
}

TEST(Closure, LeavesGlibcToTheImage) {
  FakeProcessRunner runner;
  runner.on("ldd /b/bedplate", ProcessResult{0, std::string(kLdd), ""});
  const auto paths = library_closure(runner, "ldd", "/b/bedplate");
  ASSERT_TRUE(paths);
  EXPECT_THAT(*paths, ElementsAre("/lib/x86_64-linux-gnu/libssl.so.3",
                                  "/lib/x86_64-linux-gnu/libstdc++.so.6",
                                  "/opt/dir with blank/libcrypto.so.3"));
}

TEST(Closure, SaysWhoseLibrariesItLookedFor) {
  FakeProcessRunner runner;
  runner.on("ldd", ProcessResult{1, "", "\tnot a dynamic executable\n"});
  const auto paths = library_closure(runner, "ldd", "/b/script");
  ASSERT_FALSE(paths);
  EXPECT_THAT(paths.error().render(), HasSubstr("finding the libraries of /b/script"));
}

}  // namespace
}  // namespace bedplate::image

#include "core/hardware.hpp"

#include <gtest/gtest.h>

#include "core/file.hpp"

namespace bedplate {
namespace {

const HardwareIdentity machine{{"52:54:00:00:00:01", "52:54:00:00:00:02"}, "SRV-1", "4c4c"};

TEST(Hardware, EverythingThatIsNamedMustMatch) {
  EXPECT_TRUE(matches({"52:54:00:00:00:02", std::nullopt, std::nullopt}, machine));
  EXPECT_TRUE(matches({"52:54:00:00:00:02", "SRV-1", "4c4c"}, machine));
  EXPECT_FALSE(matches({"52:54:00:00:00:02", "SRV-2", std::nullopt}, machine));
  EXPECT_FALSE(matches({"52:54:00:00:00:03", std::nullopt, std::nullopt}, machine));
  EXPECT_FALSE(matches({std::nullopt, std::nullopt, "4c4d"}, machine));
}

TEST(Hardware, IsReadFromSysfsWithoutPlaceholdersAndMadeUpAdapters) {
  auto folder = *TemporaryDirectory::create("bedplate-hardware");
  const auto put = [&](const std::string& path, const std::string& content) {
    ASSERT_TRUE(make_directories((folder.path() / path).parent_path()));
    ASSERT_TRUE(write_file_atomic(folder.path() / path, content));
  };
  put("sys/class/dmi/id/product_serial", "To Be Filled By O.E.M.\n");
  put("sys/class/dmi/id/product_uuid", "4C4C4544\n");
  put("sys/class/net/eth0/address", "52-54-00-00-00-01\n");
  put("sys/class/net/eth0/device/vendor", "0x1af4\n");
  put("sys/class/net/br0/address", "52:54:00:00:00:09\n");
  const auto seen = read_hardware(folder.path());
  EXPECT_EQ(seen.serial, "");
  EXPECT_EQ(seen.uuid, "4c4c4544");
  EXPECT_EQ(seen.macs, std::vector<std::string>{"52:54:00:00:00:01"});
}

}  // namespace
}  // namespace bedplate

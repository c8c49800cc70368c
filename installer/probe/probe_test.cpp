#include "installer/probe/probe.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"
#include "core/process_fake.hpp"
#include "installer/probe/markers.hpp"
#include "installer/probe/signatures.hpp"

namespace bedplate::installer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

/// A machine made of files: two disks, a stick with the medium, adapters, DMI fields.
class FakeMachine : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = TemporaryDirectory::create("bedplate-probe");
    ASSERT_TRUE(folder);
    folder_.emplace(std::move(*folder));
    options_.root = folder_->path();
    put("sys/class/dmi/id/product_serial", "SRV-0001\n");
    put("sys/class/dmi/id/product_uuid", "4C4C4544-0033-5A10-8034-B2C04F4E3231\n");
    put("sys/class/dmi/id/product_name", "Server\n");
    put("sys/class/net/enp1s0/address", "52:54:00:00:00:01\n");
    put("sys/class/net/enp1s0/device/vendor", "0x1af4\n");
    put("sys/class/net/br0/address", "52:54:00:ff:ff:ff\n");
    put("proc/meminfo", "MemTotal:        4096 kB\nMemFree: 1 kB\n");
    put("proc/self/mountinfo",
        "30 1 8:17 / /run/medium ro - iso9660 /dev/sdb1 ro\n31 1 0:20 / / rw - tmpfs x rw\n");
    disk("vda", "253:0", std::uint64_t{64} << 20);
    put("sys/block/vda/serial", "NODE1-ROOT");
    disk("sdb", "8:16", std::uint64_t{8} << 20);
    put("sys/block/sdb/removable", "1\n");
    put("sys/block/sdb/device/model", "Stick   \n");
    put("sys/block/sdb/sdb1/dev", "8:17\n");
    disk("loop0", "7:0", 1 << 20);
    disk("sr0", "11:0", 1 << 20);
    disk("sdc", "8:32", 0);  // a card reader without a card
  }

  void put(const fs::path& path, std::string_view content) {
    // Plain writes: a fake machine needs no syncs, and a busy disk makes them slow.
    fs::create_directories((options_.root / path).parent_path());
    std::ofstream(options_.root / path) << content;
  }

  void disk(const std::string& name, std::string_view number, std::uint64_t size) {
    const fs::path dir = fs::path("sys/block") / name;
    put(dir / "dev", number);
    put(dir / "size", std::to_string(size / 512) + "\n");
    put(dir / "queue/logical_block_size", "512\n");
    put(dir / "ro", "0\n");
    put(fs::path("dev") / name, "");
    fs::resize_file(options_.root / "dev" / name, size);
  }

  const ProbedDisk* find(const ProbedHost& host, std::string_view name) {
    for (const auto& disk : host.disks) {
      if (disk.name == name) return &disk;
    }
    return nullptr;
  }

  std::optional<TemporaryDirectory> folder_;
  ProbeOptions options_;
  SystemProcessRunner runner_;
};

TEST_F(FakeMachine, IsReadWhole) {
  const auto host = probe_host(options_, runner_);
  ASSERT_TRUE(host) << host.error().render();
  EXPECT_EQ(host->serial, "SRV-0001");
  EXPECT_EQ(host->uuid, "4c4c4544-0033-5a10-8034-b2c04f4e3231");
  EXPECT_THAT(host->macs, ElementsAre("52:54:00:00:00:01")) << "a bridge's address is made up";
  EXPECT_EQ(host->memory, 4096U * 1024);
  EXPECT_FALSE(host->uefi);
  ASSERT_EQ(host->disks.size(), 2U);
  const auto* vda = find(*host, "vda");
  ASSERT_NE(vda, nullptr);
  EXPECT_EQ(vda->serial, "NODE1-ROOT");
  EXPECT_EQ(vda->size, std::uint64_t{64} << 20);
  EXPECT_EQ(vda->transport, "virtio");
  EXPECT_TRUE(vda->empty());
  EXPECT_FALSE(vda->boot_medium);
}

TEST_F(FakeMachine, KnowsItsMediumByTheMountOfAPartition) {
  const auto host = probe_host(options_, runner_);
  ASSERT_TRUE(host);
  const auto* stick = find(*host, "sdb");
  ASSERT_NE(stick, nullptr);
  EXPECT_TRUE(stick->boot_medium);
  EXPECT_TRUE(stick->removable);
  EXPECT_EQ(stick->model, "Stick");
  EXPECT_THAT(stick->mounts, ElementsAre("/run/medium"));
}

TEST_F(FakeMachine, TakesPlaceholdersOfTheFirmwareForNothing) {
  put("sys/class/dmi/id/product_serial", "To Be Filled By O.E.M.\n");
  const auto host = probe_host(options_, runner_);
  ASSERT_TRUE(host);
  EXPECT_EQ(host->serial, "");
}

TEST_F(FakeMachine, ReadsUdevsSerialAndLinks) {
  put("run/udev/data/b8:16", "E:ID_SERIAL_SHORT=ABC123\nE:ID_BUS=usb\n");
  ASSERT_TRUE(make_directories(options_.root / "dev/disk/by-id"));
  fs::create_symlink("../../sdb", options_.root / "dev/disk/by-id/usb-Stick_ABC123");
  fs::create_symlink("../../sdb1", options_.root / "dev/disk/by-id/usb-Stick_ABC123-part1");
  const auto disk = probe_disk(options_, "sdb", runner_);
  ASSERT_TRUE(disk);
  EXPECT_EQ(disk->serial, "ABC123");
  EXPECT_THAT(disk->links, ElementsAre("/dev/disk/by-id/usb-Stick_ABC123"));
}

TEST_F(FakeMachine, NeverTakesAnUnreadableDiskForAnEmptyOne) {
  fs::remove(options_.root / "dev/vda");
  const auto disk = probe_disk(options_, "vda", runner_);
  ASSERT_TRUE(disk);
  EXPECT_FALSE(disk->empty());
}

TEST_F(FakeMachine, SeesHoldersOfPartitions) {
  put("sys/block/vda/vda1/dev", "253:1");
  put("sys/block/vda/vda1/holders/dm-0/dev", "252:0");
  const auto disk = probe_disk(options_, "vda", runner_);
  ASSERT_TRUE(disk);
  EXPECT_THAT(disk->holders, ElementsAre("dm-0"));
}

TEST_F(FakeMachine, SaysWhenThereIsNoSuchDisk) {
  const auto disk = probe_disk(options_, "vdz", runner_);
  ASSERT_FALSE(disk);
  EXPECT_EQ(disk.error().kind, ErrorKind::not_found);
}

// --- signatures ---------------------------------------------------------------------------------

struct Maker {
  std::string name;
  std::vector<std::string> argv;  ///< the file follows
  std::string type;
};

class Signatures : public FakeMachine, public ::testing::WithParamInterface<Maker> {};

TEST_P(Signatures, AreFoundAndErased) {
  const auto device = options_.root / "dev/vda";
  auto argv = GetParam().argv;
  argv.push_back(device.string());
  const auto made = runner_.run([&] {
    Command command;
    command.argv = argv;
    command.input = "secret";
    return command;
  }());
  if (!made || made->status != 0) GTEST_SKIP() << argv.front() << " does not work here";
  const auto found = probe_signatures(device);
  ASSERT_TRUE(found);
  ASSERT_FALSE(found->empty());
  EXPECT_EQ(found->front().type, GetParam().type);
  ASSERT_TRUE(wipe_signatures(device));
  EXPECT_THAT(*probe_signatures(device), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Kinds, Signatures,
                         ::testing::Values(Maker{"ext4", {"mkfs.ext4", "-q", "-F"}, "ext4"},
                                           Maker{"vfat", {"mkfs.vfat"}, "vfat"},
                                           Maker{"swap", {"mkswap"}, "swap"},
                                           Maker{"luks",
                                                 {"cryptsetup", "luksFormat", "-q", "--pbkdf",
                                                  "pbkdf2", "--pbkdf-force-iterations", "1000"},
                                                 "crypto_LUKS"}),
                         [](const auto& info) { return info.param.name; });

// --- markers ------------------------------------------------------------------------------------

TEST(Marker, IsReadFromTheEspOfOurOwnLayoutOnly) {
  FakeProcessRunner runner;
  const std::string text = marker_text({"0123456789abcdef", "node-1"});
  runner.on("mdir -b -i /dev/vda@@2097152 ::/bedplate/installed",
            {0, "::/bedplate/installed/0123456789abcdef\n", ""});
  runner.on("mtype -i /dev/vda@@2097152 ::/bedplate/installed/0123456789abcdef", {0, text, ""});
  ProbedPartition esp;
  esp.start = 2 << 20;
  esp.label = "BP-ESP";
  const auto marker = read_marker("/dev/vda", {esp}, runner);
  ASSERT_TRUE(marker);
  EXPECT_EQ(marker->site, "0123456789abcdef");
  EXPECT_EQ(marker->node, "node-1");
  esp.label = "EFI System";
  EXPECT_FALSE(read_marker("/dev/vda", {esp}, runner));
}

}  // namespace
}  // namespace bedplate::installer

#include <cstring>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/file.hpp"
#include "core/process_fake.hpp"
#include "installer/apply/bios_loader.hpp"
#include "installer/apply/boot_files.hpp"
#include "installer/apply/fat.hpp"
#include "installer/apply/nvram.hpp"
#include "installer/apply/table.hpp"
#include "installer/plan/layout.hpp"
#include "installer/probe/signatures.hpp"

namespace bedplate::installer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = TemporaryDirectory::create("bedplate-installer");
    ASSERT_TRUE(folder);
    folder_.emplace(std::move(*folder));
  }
  std::filesystem::path file(std::string_view name, std::uint64_t size) const {
    const auto path = folder_->path() / name;
    EXPECT_TRUE(write_file_atomic(path, ""));
    std::filesystem::resize_file(path, size);
    return path;
  }
  std::optional<TemporaryDirectory> folder_;
};

// --- GRUB's files -------------------------------------------------------------------------------

TEST(GrubEnvironment, IsWhatGrubEditenvWrites) {
  const auto block = grub_environment({{"ORDER", "a b"}, {"A_OK", "1"}});
  ASSERT_TRUE(block);
  EXPECT_EQ(block->size(), 1024U);
  EXPECT_THAT(*block, ::testing::StartsWith("# GRUB Environment Block\nORDER=a b\nA_OK=1\n####"));
}

TEST(FillTemplate, ReplacesEveryPlaceholderAndDropsComments) {
  const auto out = fill_template("# @SLOT@ is a slot\nroot=@SLOT@@ARGS@ mail@host\n",
                                 {{"SLOT", "a"}, {"ARGS", ""}});
  ASSERT_TRUE(out);
  EXPECT_EQ(*out, "root=a mail@host\n");
}

TEST(FillTemplate, RefusesAnUnknownPlaceholder) {
  const auto out = fill_template("x=@NEW@\n", {});
  ASSERT_FALSE(out);
  EXPECT_THAT(out.error().what, HasSubstr("@NEW@"));
}

TEST(BiosLoaderImages, PointToTheCore) {
  std::string boot(512, 'b');
  std::string core(2048, 'c');
  const auto loader = make_bios_loader(boot, core, 1 << 20);
  ASSERT_TRUE(loader);
  EXPECT_EQ(loader->boot_code.size(), 440U);
  std::uint64_t sector = 0;
  std::memcpy(&sector, loader->boot_code.data() + 0x5c, 8);
  EXPECT_EQ(sector, 2048U);
  std::memcpy(&sector, loader->core.data() + 0x1f4, 8);
  EXPECT_EQ(sector, 2049U);
}

TEST(BiosLoaderImages, AreRefusedWhenTheyAreNone) {
  EXPECT_FALSE(make_bios_loader("x", std::string(2048, 'c'), 1 << 20));
  EXPECT_FALSE(make_bios_loader(std::string(512, 'b'), "", 1 << 20));
}

// --- NVRAM --------------------------------------------------------------------------------------

constexpr std::string_view kEntries =
    "BootCurrent: 0001\nTimeout: 3 seconds\nBootOrder: 0003,0001,0000\n"
    "Boot0000* UiApp\tFvVol(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(462caa21)\n"
    "Boot0001* UEFI QEMU DVD-ROM\tPciRoot(0x0)/Pci(0x1,0x1)/Ata(1,0,0){auto_created_boot_option}\n"
    "Boot0003* Bedplate two-nodes\tHD(2,GPT,8A1F0000-0000-8000-8000-000000000001,0x1000,0x100000)/"
    "File(\\EFI\\BOOT\\BOOTX64.EFI)\n"
    "Boot0004  Bedplate two-nodes\tHD(2,GPT,dead0000-0000-8000-8000-000000000002,0x1000,0x100000)/"
    "File(\\EFI\\BOOT\\BOOTX64.EFI)\n";

TEST(BootEntries, AreParsed) {
  const auto entries = parse_boot_entries(kEntries);
  ASSERT_EQ(entries.size(), 4U);
  EXPECT_EQ(entries[1].label, "UEFI QEMU DVD-ROM");
  EXPECT_EQ(entries[1].partition, "");
  EXPECT_EQ(entries[2].number, "0003");
  EXPECT_EQ(entries[2].label, "Bedplate two-nodes");
  EXPECT_EQ(entries[2].partition, "8a1f0000-0000-8000-8000-000000000001");
  EXPECT_EQ(entries[3].label, "Bedplate two-nodes");
}

TEST(Nvram, RemovesOnlyItsOwnStaleEntries) {
  FakeProcessRunner runner;
  runner.on("efibootmgr -v", {0, std::string(kEntries), ""});
  runner.on("efibootmgr -q", {0, "", ""});
  ASSERT_TRUE(Nvram(runner).enter("Bedplate two-nodes", "/dev/vda",
                                  "8a1f0000-0000-8000-8000-000000000001"));
  EXPECT_THAT(runner.commands,
              ElementsAre("efibootmgr -v", "efibootmgr -q -b 0004 -B",
                          "efibootmgr -q -c -d /dev/vda -p 2 -L Bedplate two-nodes -l "
                          "\\EFI\\BOOT\\BOOTX64.EFI"));
}

// --- partition table and file systems -----------------------------------------------------------

Plan table_plan(std::uint64_t sector) {
  Plan plan;
  plan.disk_size = 40 * kGiB;
  plan.sector = sector;
  plan.table_uuid = deterministic_guid("table");
  plan.partitions = make_layout(plan.disk_size, kGiB, "x");
  return plan;
}

class Table : public Folder, public ::testing::WithParamInterface<std::uint64_t> {};

TEST_P(Table, IsReadBackByAnotherLibraryAsPlanned) {
  const auto plan = table_plan(GetParam());
  const auto disk = file("disk", plan.disk_size);
  const auto table = make_table(plan);
  ASSERT_TRUE(table) << table.error().render();
  EXPECT_FALSE(*table_is_written(disk, *table));
  ASSERT_TRUE(write_table(disk, *table, plan.sector));
  EXPECT_TRUE(*table_is_written(disk, *table));
  const auto contents = probe_contents(disk, plan.sector);
  ASSERT_TRUE(contents);
  EXPECT_EQ(contents->table_uuid, plan.table_uuid);
  ASSERT_EQ(contents->partitions.size(), plan.partitions.size());
  for (std::size_t i = 0; i < plan.partitions.size(); ++i) {
    EXPECT_EQ(contents->partitions[i].label, plan.partitions[i].label);
    EXPECT_EQ(contents->partitions[i].uuid, plan.partitions[i].uuid);
    EXPECT_EQ(contents->partitions[i].type, plan.partitions[i].type);
    EXPECT_EQ(contents->partitions[i].start, plan.partitions[i].start);
    EXPECT_EQ(contents->partitions[i].size, plan.partitions[i].size);
  }
}

INSTANTIATE_TEST_SUITE_P(Sectors, Table, ::testing::Values(512, 4096));

TEST_F(Folder, ATableWithItsFirstSectorsLostIsStillSeen) {
  const auto plan = table_plan(512);
  const auto disk = file("disk", plan.disk_size);
  const auto table = make_table(plan);
  ASSERT_TRUE(table && write_table(disk, *table, plan.sector));
  const auto fd = open_file(disk, O_RDWR);
  ASSERT_TRUE(write_all_at(fd->get(), as_byte_span(std::string(1024, '\0')), 0));
  EXPECT_FALSE(*table_is_written(disk, *table));
  const auto contents = probe_contents(disk, 512);
  ASSERT_TRUE(contents);
  EXPECT_EQ(contents->table_uuid, plan.table_uuid);
}

TEST_F(Folder, WipingLeavesNothingToFind) {
  const auto plan = table_plan(512);
  const auto disk = file("disk", plan.disk_size);
  const auto table = make_table(plan);
  ASSERT_TRUE(table && write_table(disk, *table, plan.sector));
  ASSERT_TRUE(wipe_signatures(disk));
  const auto contents = probe_contents(disk, 512);
  ASSERT_TRUE(contents);
  EXPECT_TRUE(contents->signatures.empty());
  EXPECT_TRUE(contents->partitions.empty());
}

TEST_F(Folder, FatIsCompleteOnlyOnceSealed) {
  SystemProcessRunner runner;
  Fat fat(file("esp", 64 * kMiB), runner);
  EXPECT_EQ(fat.volume_id(), std::nullopt);
  const auto formatted = fat.format();
  ASSERT_TRUE(formatted) << formatted.error().render();
  EXPECT_EQ(fat.volume_id(), 0U);
  ASSERT_TRUE(fat.make_folder("/EFI"));
  ASSERT_TRUE(fat.put_text("one", "/EFI/x"));
  ASSERT_TRUE(fat.put_text("two", "/EFI/x"));
  ASSERT_TRUE(fat.seal(0x12345678));
  EXPECT_EQ(fat.volume_id(), 0x12345678U);
  EXPECT_EQ(*fat.get("/EFI/x"), "two");
  EXPECT_FALSE(fat.get("/EFI/none"));
}

}  // namespace
}  // namespace bedplate::installer

#include "qemu-tests/lab/machine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.hpp"
#include "qemu-tests/lab/disk.hpp"

namespace bedplate::lab {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

MachineSpec node_1() {
  MachineSpec spec;
  spec.name = "node-1";
  spec.folder = "/lab/node-1";
  spec.mac = *parse_mac("52:54:00:00:00:01");
  spec.network_socket = "/run/lab/1.sock";
  spec.control_socket = "/run/lab/1.qmp";
  spec.medium = "/media/site.iso";
  spec.disk.serial = "NODE1-ROOT";
  spec.firmware_code = "/fw/code.fd";
  spec.firmware_variables = "/lab/node-1/firmware.fd";
  return spec;
}

TEST(MachineArguments, AreThoseOfAMachineWithMediumAndDisk) {
  const std::vector<std::string> golden{
      "qemu-system-x86_64",
      "-name",
      "node-1",
      "-nodefaults",
      "-no-user-config",
      "-machine",
      "q35",
      "-accel",
      "tcg,thread=multi,tb-size=512",
      "-cpu",
      "max",
      "-smp",
      "2",
      "-m",
      "4096",
      "-rtc",
      "base=2000-01-01T00:00:00",
      "-display",
      "none",
      "-vga",
      "none",
      "-chardev",
      "file,id=console,append=on,path=/lab/node-1/console.log",
      "-serial",
      "chardev:console",
      "-qmp",
      "unix:/run/lab/1.qmp,server=on,wait=off",
      "-drive",
      "if=pflash,unit=0,format=raw,readonly=on,file=/fw/code.fd",
      "-drive",
      "if=pflash,unit=1,format=raw,file=/lab/node-1/firmware.fd",
      "-drive",
      "if=none,id=root,format=raw,cache=unsafe,discard=unmap,file=/lab/node-1/root.disk",
      "-device",
      "virtio-blk-pci,drive=root,bootindex=1,serial=NODE1-ROOT",
      "-drive",
      "if=none,id=medium,media=cdrom,format=raw,readonly=on,file=/media/site.iso",
      "-device",
      "ide-cd,drive=medium,bus=ide.0,bootindex=0",
      "-netdev",
      "stream,id=net,server=off,addr.type=unix,addr.path=/run/lab/1.sock",
      "-device",
      "virtio-net-pci,netdev=net,romfile=,mac=52:54:00:00:00:01",
      "-device",
      "virtio-rng-pci"};
  EXPECT_EQ(machine_arguments(node_1()), golden);
}

TEST(MachineArguments, NothingReachesTheSystemInsideButHardware) {
  auto spec = node_1();
  spec.decoy = true;
  spec.serial = "CHASSIS-7";
  for (const auto& word : machine_arguments(spec)) {
    for (const char* way : {"-kernel", "-initrd", "-append", "-fw_cfg", "-virtfs", "9p", "stdio",
                            "hostfwd", "user,", "tap,"}) {
      EXPECT_THAT(word, Not(HasSubstr(way)));
    }
  }
}

TEST(MachineArguments, TheSiteFilesSelectorsChooseTheHardware) {
  auto spec = node_1();
  spec.accelerator = Accelerator::kvm;
  spec.folder = "/lab/a,b";
  spec.disk.serial = "S1";
  spec.disk.model = "BIG-DISK";
  spec.uuid = "11111111-2222-3333-4444-555555555555";
  const auto words = machine_arguments(spec);
  EXPECT_THAT(words,
              Contains("scsi-hd,bus=scsi.0,drive=root,bootindex=1,serial=S1,product=BIG-DISK"));
  EXPECT_THAT(words, Contains(HasSubstr("file=/lab/a,,b/root.disk")));
  EXPECT_THAT(words, Contains("11111111-2222-3333-4444-555555555555"));
  EXPECT_THAT(words, Contains("host"));
}

TEST(EmulatorVersion, IsReadFromWhatQemuSays) {
  EXPECT_EQ(
      parse_emulator_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\n"
                             "Copyright (c) 2003-2022 Fabrice Bellard and the QEMU Project\n"),
      "7.2.22");
  EXPECT_EQ(parse_emulator_version("QEMU emulator version 10.0.2"), "10.0.2");
  EXPECT_FALSE(parse_emulator_version(""));
  EXPECT_FALSE(parse_emulator_version("QEMU emulator version unknown"));
}

TEST(Disk, SizeObeysTheSelector) {
  DiskSelector selector;
  EXPECT_EQ(disk_size(selector), 24ULL << 30);
  selector.min_size = 100ULL << 30;
  EXPECT_EQ(disk_size(selector), 100ULL << 30);
  selector.min_size.reset();
  selector.max_size = 10ULL << 30;
  EXPECT_EQ(disk_size(selector), 10ULL << 30);
}

TEST(Disk, TheDecoysDigestTellsOneChangedByte) {
  const auto folder = TemporaryDirectory::create("decoy").value();
  const auto disk = folder.path() / "disk";
  SystemProcessRunner runner;
  ASSERT_TRUE(make_decoy(disk, 64ULL << 20, runner));
  const auto before = digest_of_data(disk);
  ASSERT_TRUE(before);
  EXPECT_EQ(*digest_of_data(disk), *before);
  const auto fd = open_file(disk, 2).value();
  ASSERT_TRUE(write_all_at(fd.get(), as_byte_span("x"), 40ULL << 20));
  EXPECT_NE(*digest_of_data(disk), *before);
}

}  // namespace
}  // namespace bedplate::lab

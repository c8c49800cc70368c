#include "imagebuild/kernel_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imagebuild/embedded.hpp"

namespace bedplate::image {
namespace {

TEST(KernelLine, LiveGolden) {
  const Verity verity{std::string(64, 'a'), 8192};
  EXPECT_EQ(live_kernel_line(verity, "2026-01-02-03-04-05-00", {"mitigations=off", "x=y"}),
            "ro root=/dev/mapper/root rootfstype=squashfs roothash=" + std::string(64, 'a') +
                " systemd.verity_root_data=/dev/disk/by-loop-ref/system"
                " systemd.verity_root_hash=/dev/disk/by-loop-ref/system"
                " systemd.verity_root_options=hash-offset=8192"
                " rd.systemd.mount-extra=UUID=2026-01-02-03-04-05-00:/run/medium:iso9660:ro"
                " systemd.volatile=state systemd.gpt_auto=no"
                " systemd.default_device_timeout_sec=180 systemd.tty.term.console=dumb"
                " bedplate.mode=live"
                " console=tty0 console=ttyS0,115200 panic=5 mitigations=off x=y");
}

TEST(KernelLine, InstalledGolden) {
  const auto text = render(*embedded("boot/slot.cfg.in"), {{"SLOT", "a"},
                                                           {"ROOTHASH", "<hash>"},
                                                           {"HASH_OFFSET", "8192"},
                                                           {"PART_SYSTEM", "<system>"},
                                                           {"PART_STATE", "<state>"},
                                                           {"SITE_ID", "<site>"},
                                                           {"KERNEL_ARGS", "mitigations=off"}});
  ASSERT_TRUE(text) << text.error().render();
  EXPECT_EQ(
      *text,
      "if linux ($esp)/bedplate/a/vmlinuz ro root=/dev/mapper/root rootfstype=squashfs"
      " roothash=<hash> systemd.verity_root_data=PARTUUID=<system>"
      " systemd.verity_root_hash=PARTUUID=<system>"
      " systemd.verity_root_options=hash-offset=8192"
      " systemd.mount-extra=PARTUUID=<state>:/var:ext4:x-initrd.mount,noatime"
      " systemd.gpt_auto=no systemd.default_device_timeout_sec=180"
      " systemd.tty.term.console=dumb bedplate.mode=installed bedplate.slot=a bedplate.site=<site>"
      " console=tty0 console=ttyS0,115200 panic=5 mitigations=off ; then\n"
      "  if initrd ($esp)/bedplate/a/initrd.img ; then\n"
      "    boot\n"
      "  fi\n"
      "fi\n");
}

TEST(KernelLine, TakesPlainWordsOnly) {
  for (const auto* good : {"mitigations=off", "console=ttyS1,115200n8", "a.b-c:d/e"}) {
    EXPECT_TRUE(check_kernel_argument(good)) << good;
  }
  for (const auto* bad : {"", "a b", "a\nb", "$root", "a;b", "\"a\"", "{a}", "a#b"}) {
    const auto checked = check_kernel_argument(bad);
    ASSERT_FALSE(checked) << bad;
    EXPECT_EQ(checked.error().kind, ErrorKind::usage);
  }
}

}  // namespace
}  // namespace bedplate::image

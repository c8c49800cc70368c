#!/bin/sh
# Customize hook of mmdebstrap: $1 is the new root. BEDPLATE_SETUP is the folder this file is in.
# Leaves in the root: /boot/{vmlinuz,initrd.img}, /usr/lib/bedplate/{packages,boot/…}.
set -eu
root=$1
setup=$BEDPLATE_SETUP

kernel=$(ls "$root/usr/lib/modules")
[ "$(echo "$kernel" | wc -w)" = 1 ] || { echo "expected one kernel, found: $kernel" >&2; exit 1; }

mkdir -p "$root/usr/lib/bedplate/boot/bios"
# shellcheck disable=SC2016  # the fields are dpkg-query's, not the shell's
chroot "$root" dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' > "$root/usr/lib/bedplate/packages"
echo "$kernel" > "$root/usr/lib/bedplate/kernel-version"

# --- initrd ---------------------------------------------------------------------------------------
mkdir -p "$root/usr/lib/dracut/modules.d/90bedplate"
cp "$setup"/dracut/90bedplate/* "$root/usr/lib/dracut/modules.d/90bedplate/"
chmod 0755 "$root"/usr/lib/dracut/modules.d/90bedplate/*.sh
mkdir -p "$root/tmp/no-more-configuration"
chroot "$root" dracut --quiet --force --conf /usr/lib/dracut/modules.d/90bedplate/dracut.conf \
  --confdir /tmp/no-more-configuration --reproducible --kver "$kernel" /boot/initrd.img
mv "$root/boot/vmlinuz-$kernel" "$root/boot/vmlinuz"
rm -f "$root/boot/System.map-$kernel" "$root/boot/config-$kernel"

# --- boot loader ----------------------------------------------------------------------------------
# Only files are wanted, so the packages are taken apart instead of installed.
work=$root/tmp/bootloader
mkdir -p "$work/x"
(cd "$work" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q -o APT::Sandbox::User=root download \
  grub-efi-amd64-signed shim-signed shim-helpers-amd64-signed grub-common grub-pc-bin)
for deb in "$work"/*.deb; do
  dpkg-deb -x "$deb" "$work/x"
  dpkg-deb -f "$deb" Package Version Architecture | sed 's/^[^:]*: //' | tr '\n' ' ' |
    sed 's/ $/\n/' >> "$root/usr/lib/bedplate/packages"
done
boot=$root/usr/lib/bedplate/boot
cp "$work/x/usr/lib/shim/shimx64.efi.signed" "$boot/shimx64.efi"
cp "$work/x/usr/lib/shim/mmx64.efi.signed" "$boot/mmx64.efi"
cp "$work/x/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$boot/grubx64.efi"
cp "$work/x/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed" "$boot/gcdx64.efi"
pc=/tmp/bootloader/x/usr/lib/grub/i386-pc
mkimage() { chroot "$root" /tmp/bootloader/x/usr/bin/grub-mkimage -d $pc "$@"; }
modules="biosdisk part_gpt part_msdos fat iso9660 search search_fs_file search_fs_uuid search_label
  normal configfile linux loadenv test echo sleep reboot halt regexp serial terminal minicmd ls cat all_video"
# shellcheck disable=SC2086
{
  mkimage -O i386-pc -o /usr/lib/bedplate/boot/bios/core.img -p '(,gpt2)/EFI/debian' $modules
  mkimage -O i386-pc-eltorito -o /usr/lib/bedplate/boot/bios/eltorito.img -p /boot/grub $modules
}
cp "$root$pc/boot.img" "$root$pc/boot_hybrid.img" "$boot/bios/"

# --- what the image does not need -----------------------------------------------------------------
chroot "$root" dpkg --purge --force-depends dracut dracut-core dracut-install cpio zstd 2>/dev/null
rm -rf "$root/tmp/bootloader" "$root"/usr/lib/dracut "$root"/etc/dracut* "$root"/etc/kernel
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.service
rm -rf "$root"/etc/apt "$root"/etc/cron* "$root"/etc/init.d "$root"/etc/rc?.d "$root"/etc/logrotate.d
rm -rf "$root"/usr/share/initramfs-tools "$root"/etc/initramfs-tools "$root"/usr/share/gcc
rm -rf "$root"/usr/share/perl5 "$root"/usr/lib/apt "$root"/usr/share/keyrings
rm -f "$root"/usr/bin/apt* "$root"/vmlinuz* "$root"/initrd.img* "$root"/.dockerenv
# Microcode is in the initrd, where the processor needs it.
rm -rf "$root"/usr/lib/firmware/intel-ucode "$root"/usr/lib/firmware/amd-ucode
# /var is another file system on every machine: only the folders that a mount needs stay.
find "$root/var" -mindepth 1 -maxdepth 1 ! -name lib ! -name run ! -name lock -exec rm -rf {} +
find "$root/var/lib" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
rm -rf "$root"/tmp/* "$root"/run/* "$root"/root/.[!.]*
rm -f "$root"/etc/resolv.conf "$root"/etc/hosts "$root"/etc/hostname "$root"/etc/machine-id \
  "$root"/var/lib/dbus/machine-id "$root"/etc/fstab "$root"/etc/mtab

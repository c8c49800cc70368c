#!/bin/bash
# shellcheck disable=SC2154  # moddir, initdir, systemdsystemunitdir come from dracut
# dracut module of Bedplate: the medium's loop device, the machine id, no shell when booting fails.

check() { return 0; }

depends() { echo systemd systemd-initrd systemd-veritysetup dm kernel-modules udev-rules; }

installkernel() {
    hostonly='' instmods loop squashfs isofs udf ext4 vfat nls_cp437 nls_iso8859-1 nls_ascii nls_utf8 \
        dm_verity dm_mod dm_crypt overlay sr_mod cdrom sd_mod usb_storage uas \
        nvme ahci ata_piix megaraid_sas mpt3sas mpi3mr hpsa smartpqi aacraid aic94xx isci mptsas \
        virtio_pci virtio_blk virtio_scsi hv_storvsc vmw_pvscsi xhci_pci ehci_pci uhci_hcd vmd \
        sha256_generic sha256_ssse3 crc32c_generic crc32c_intel
}

install() {
    inst_multiple sh dd losetup mount umount mkdir mv cat sync sleep chmod systemctl modprobe \
        e2fsck fsck fsck.ext4 dmsetup
    inst_simple "$moddir/modules.conf" /usr/lib/modules-load.d/bedplate.conf
    inst_script "$moddir/machine-id.sh" /usr/lib/bedplate/machine-id
    inst_script "$moddir/give-up.sh" /usr/lib/bedplate/give-up
    local unit
    for unit in bedplate-medium.service bedplate-root-check.service bedplate-machine-id.service \
        emergency.service; do
        inst_simple "$moddir/$unit" "$systemdsystemunitdir/$unit"
    done
    inst_simple "$moddir/emergency.service" "$systemdsystemunitdir/rescue.service"
    $SYSTEMCTL -q --root "$initdir" add-wants initrd-root-device.target bedplate-medium.service
    $SYSTEMCTL -q --root "$initdir" add-wants initrd-root-device.target bedplate-root-check.service
    $SYSTEMCTL -q --root "$initdir" add-wants initrd.target bedplate-machine-id.service
    rm -f "$initdir$systemdsystemunitdir/debug-shell.service"
}

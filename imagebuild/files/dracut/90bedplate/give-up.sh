#!/bin/sh
# Nobody is there to type into a shell: say what failed, wait for a reader, restart. The boot counter
# takes the other slot when this one fails again.
export SYSTEMD_COLORS=0
echo "bedplate: boot: failed"
systemctl --no-pager --plain --no-legend list-units --state=failed --all || true
journalctl --no-pager -b -p warning -n 30 -o cat 2>/dev/null || true
echo "bedplate: boot: restarting in 20 s"
sleep 20
systemctl --force reboot

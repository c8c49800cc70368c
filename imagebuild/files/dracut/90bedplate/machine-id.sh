#!/bin/sh
# Makes the machine id once on STATE and binds it over the empty /etc/machine-id of the image, which
# stays read-only. $1 is the root to be.
set -eu
kept=$1/var/lib/bedplate/machine-id

id=
[ ! -f "$kept" ] || read -r id < "$kept" || true
case $id in
  *[!0-9a-f]*) id= ;;
  ????????????????????????????????) ;;
  *) id= ;;
esac
if [ -z "$id" ]; then
  # A random UUID without its dashes, as machine-id(5) wants it.
  IFS=- read -r a b c d e < /proc/sys/kernel/random/uuid
  mkdir -p "$1/var/lib/bedplate"
  echo "$a$b$c$d$e" > "$kept.tmp"
  chmod 0444 "$kept.tmp"
  sync "$kept.tmp"
  mv "$kept.tmp" "$kept"
  sync "$1/var/lib/bedplate"
fi
mount --bind "$kept" "$1/etc/machine-id"

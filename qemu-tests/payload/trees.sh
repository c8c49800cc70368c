# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The root file systems of the images, the list of images, and the bundle specification made of it.

readonly IMAGE_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
readonly BUNDLE_VERSION=2026.11.0
readonly PAUSE_VERSION=3.10.2  # what this kubeadm expects; checked against it below

# Programs expect these even in an otherwise empty image.
base_tree() {
  local root=$1
  mkdir -p "$root/etc" "$root/tmp" "$root/root" "$root/usr/local/bin"
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
}

# Adds Debian's program $2 to tree $1 at its own path, with its libraries and the loader where they
# look for each other, so that it runs with nothing else of Debian.
add_debian_program() {
  local root=$1 program=$2 file
  while read -r file; do
    cp -L --parents "$file" "$root"
  done < <(echo "$program"; ldd "$program" | grep -o '/[^ ]*')
  loader_finds_all "$root" "$program"
}

# The loader is asked with the tree's libraries only; a path outside the tree is one that is missing.
loader_finds_all() {
  local root=$1 program=$2 loader libraries outside
  loader=$(find "$root/lib64" -name 'ld-linux*' -print -quit)
  libraries=$(find "$root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
  outside=$("$loader" --inhibit-cache --library-path "$libraries" --list "$root$program" |
    grep -o '=> .*' | grep -v "=> $root/" || true)
  [[ -z $outside ]] || fail "$program in the image misses libraries: $outside"
}

tree_kube-proxy() { add_debian_program "$1" /usr/sbin/nft; }
tree_etcd() { mkdir -p "$1/var/lib/etcd"; }

# CoreDNS is looked for at the root: kubeadm's manifest names no command, only arguments.
tree_coredns() { mv "$1/usr/local/bin/coredns" "$1/coredns"; }

tree_pause() {
  gcc -Os -static -Wall -Wextra -Werror -DVERSION="\"$PAUSE_VERSION\"" \
    -o "$1/pause" "$HERE/pause/pause.c"
  strip "$1/pause"
  [[ $("$1/pause" --version) == "pause $PAUSE_VERSION" ]] || fail "the built pause does not run"
}

# Every applet gets its link at the path that BusyBox itself names for it.
tree_busybox() {
  local root=$1 applet
  install -D -m 0755 "$(busybox_static)" "$root/bin/busybox"
  while read -r applet; do
    mkdir -p "$root/${applet%/*}"
    [[ -e $root/$applet ]] || ln -s /bin/busybox "$root/$applet"
  done < <("$root/bin/busybox" --list-full | grep /)
  mkdir -p "$root/var/www"
}

busybox_static() { dpkg -L busybox-static | grep -m 1 -E '/bin/busybox$'; }
debian_version() { dpkg-query -W -f '${Version}' "$1"; }

# Debian's "1:1.35.0-4+deb12u1" has signs that a tag may not have; the annotation has all of it.
busybox_version() { debian_version busybox-static | sed -E 's/^[0-9]+://; s/-.*//'; }

# One line per image: folder, full name, entrypoint, provenance; fields are split by '|'.
image_lines() {
  local kube etcd dns name origin
  kube=$(module_version kubernetes k8s.io/kubernetes)
  etcd=$(module_version etcd go.etcd.io/etcd/server/v3)
  dns=$(module_version coredns github.com/coredns/coredns)
  origin=$(provenance_of kubernetes)
  for name in kube-apiserver kube-controller-manager kube-scheduler; do
    echo "$name|registry.k8s.io/$name:$kube|/usr/local/bin/$name|$origin"
  done
  echo "kube-proxy|registry.k8s.io/kube-proxy:$kube|/usr/local/bin/kube-proxy|$origin; nft from Debian package nftables $(debian_version nftables)"
  echo "etcd|registry.k8s.io/etcd:$(etcd_tag "$etcd")|/usr/local/bin/etcd|$(provenance_of etcd)"
  echo "coredns|registry.k8s.io/coredns/coredns:$dns|/coredns|$(provenance_of coredns)"
  echo "pause|registry.k8s.io/pause:$PAUSE_VERSION|/pause|built from Bedplate's qemu-tests/payload/pause/pause.c"
  echo "busybox|docker.io/library/busybox:$(busybox_version)|/bin/sh|Debian package busybox-static $(debian_version busybox-static)"
}

# kubeadm's own etcd tags end in the image's revision.
etcd_tag() { echo "${1#v}-0"; }

make_trees() {
  local out=$1 folder root binary
  while IFS='|' read -r folder _; do
    root=$out/images/$folder/rootfs
    base_tree "$root"
    for binary in "$folder" $([[ $folder != etcd ]] || echo etcdctl); do
      [[ ! -e $out/.all/$binary ]] || ln "$out/.all/$binary" "$root/usr/local/bin/$binary"
    done
    if declare -F "tree_$folder" >/dev/null; then "tree_$folder" "$root"; fi
  done < <(image_lines)
}

# The names come from kubeadm itself: whatever it would pull must be in the list.
check_against_kubeadm() {
  local out=$1 config wanted
  config=$(mktemp)
  kubeadm_configuration >"$config"
  wanted=$("$out/bin/kubeadm" config images list --config "$config")
  rm -f "$config"
  while read -r image; do
    image_lines | cut -d'|' -f2 | grep -qxF "$image" || fail "kubeadm wants $image, which is not in the list"
  done <<<"$wanted"
}

kubeadm_configuration() {
  cat <<YAML
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: $(module_version kubernetes k8s.io/kubernetes)
etcd: {local: {imageTag: "$(etcd_tag "$(module_version etcd go.etcd.io/etcd/server/v3)")"}}
dns: {imageTag: "$(module_version coredns github.com/coredns/coredns)"}
YAML
}

write_images_json() {
  local folder name entrypoint origin separator=""
  printf '{\n  "kubernetesVersion": "%s",\n' "$(module_version kubernetes k8s.io/kubernetes)"
  printf '  "imageTags": {"etcd": "%s", "dns": "%s"},\n  "images": [' \
    "$(etcd_tag "$(module_version etcd go.etcd.io/etcd/server/v3)")" \
    "$(module_version coredns github.com/coredns/coredns)"
  while IFS='|' read -r folder name entrypoint origin; do
    printf '%s\n    {"name": "%s", "rootfs": "images/%s/rootfs", "entrypoint": ["%s"], "cmd": [],' \
      "$separator" "$name" "$folder" "$entrypoint"
    printf ' "env": ["PATH=%s"], "user": "0", "workingDir": "/",' "$IMAGE_PATH"
    printf ' "annotations": {"dev.bedplate.provenance": "%s"}}' "$origin"
    separator=,
  done < <(image_lines)
  printf '\n  ]\n}\n'
}

# The specification for `bedplate bundle create -f bundle.yaml --root <this folder>`.
write_bundle_yaml() {
  local folder name entrypoint origin
  printf '%s\n' "# Made by qemu-tests/payload/build; paths are relative to this file." \
    "kind: Bundle" "name: two-nodes" "version: \"$BUNDLE_VERSION\"" "images:"
  while IFS='|' read -r folder name entrypoint origin; do
    cat <<YAML
  - name: $name
    source: rootfs:images/$folder/rootfs
    config: {entrypoint: ["$entrypoint"], cmd: [], env: ["PATH=$IMAGE_PATH"], user: "0", workingDir: "/"}
    annotations: {dev.bedplate.provenance: "$origin"}
YAML
  done < <(image_lines)
  cat <<YAML
files:
  - name: node-payload
    version: $(module_version kubernetes k8s.io/kubernetes)
    annotations:
      dev.bedplate.provenance: "$(for p in kubernetes containerd runc cni-plugins helm; do provenance_of $p; done | paste -sd';' | sed 's/;/; /g')"
    files:
      - {path: bin, to: bin}
      - {path: cni, to: cni}
YAML
}

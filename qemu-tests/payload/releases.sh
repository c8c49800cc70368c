# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The official releases: where they are, and how a download is verified. A release is used whole or
# not at all: one probe decides for every program, and a download that fails afterwards ends the run.

release_probe_url() { echo "https://dl.k8s.io/$(module_version kubernetes k8s.io/kubernetes)/bin/linux/amd64/kubeadm.sha256"; }

releases_reachable() {
  command -v curl >/dev/null && curl -fsSL --max-time 3 -o /dev/null "$(release_probe_url)" 2>/dev/null
}

# Lines of "<file URL> <URL of its published SHA-256 sums>" for program $1 in version $2.
release_urls() {
  local program=$1 v=$2 hub=https://github.com name base
  case $program in
    kubernetes)
      for name in "${BINARIES[@]}"; do
        base=https://dl.k8s.io/$v/bin/linux/amd64/$name
        echo "$base $base.sha256"
      done ;;
    etcd)
      base=$hub/etcd-io/etcd/releases/download/$v
      echo "$base/etcd-$v-linux-amd64.tar.gz $base/SHA256SUMS" ;;
    coredns)
      base=$hub/coredns/coredns/releases/download/$v/coredns_${v#v}_linux_amd64.tgz
      echo "$base $base.sha256" ;;
    containerd)
      base=$hub/containerd/containerd/releases/download/$v/containerd-${v#v}-linux-amd64.tar.gz
      echo "$base $base.sha256sum" ;;
    runc)
      base=$hub/opencontainers/runc/releases/download/$v
      echo "$base/runc.amd64 $base/runc.sha256sum" ;;
    cni-plugins)
      base=$hub/containernetworking/plugins/releases/download/$v/cni-plugins-linux-amd64-$v.tgz
      echo "$base $base.sha256" ;;
    helm)
      base=https://get.helm.sh/helm-$v-linux-amd64.tar.gz
      echo "$base $base.sha256sum" ;;
    *) return 1 ;;
  esac
}

# Fetches $1 into folder $3 and refuses it unless its digest is in the sums at $2. Sums come either
# as a bare digest or as lines of "<digest>  <file>".
fetch_verified() {
  local url=$1 sums_url=$2 to=$3 file=${1##*/} want have
  curl -fsSL --retry 3 -o "$to/$file" "$url" || return 1
  curl -fsSL --retry 3 -o "$to/$file.sums" "$sums_url" || return 1
  want=$(awk -v f="$file" 'NF == 1 || $2 == f || $2 == "*" f { print $1; exit }' "$to/$file.sums")
  have=$(sha256sum "$to/$file" | cut -d' ' -f1)
  [[ -n $want && $want == "$have" ]] || { echo "$url: digest $have, published: ${want:-none}"; return 1; }
}

# Puts the files of BINARIES into folder $3; the sources' URLs go to $3/.source.
download_release() {
  local program=$1 version=$2 out=$3 parts=$3/.download url sums name found
  mkdir -p "$parts"
  while read -r url sums; do
    fetch_verified "$url" "$sums" "$parts" || return 1
    [[ $url != *gz ]] || tar -xzf "$parts/${url##*/}" -C "$parts" || return 1
    echo "$url" >>"$out/.source"
  done < <(release_urls "$program" "$version")
  [[ $program != runc ]] || mv "$parts/runc.amd64" "$parts/runc"
  for name in "${BINARIES[@]}"; do
    found=$(find "$parts" -type f -name "$name" -print -quit)
    [[ -n $found ]] || { echo "the release of $program $version has no $name"; return 1; }
    install -m 0755 "$found" "$out/$name" || return 1
  done
  rm -rf "$parts"
}

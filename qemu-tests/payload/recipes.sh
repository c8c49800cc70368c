# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What is built, and how. A recipe sets these variables; its text is part of the program's cache key,
# so that a changed recipe rebuilds its own program and nothing else.
#
#   MODULE    the module whose version (read from <program>/go.mod) is the program's version
#   CGO TAGS LDFLAGS BUILDMODE   for `go build`
#   BINARIES  what comes out; each must answer to ask_version
# shellcheck disable=SC2034  # the variables are read by the file that sources this one

PROGRAMS=(kubernetes etcd coredns containerd runc cni-plugins helm)

recipe_defaults() {
  CGO=0 TAGS="" LDFLAGS="" BUILDMODE="default" BINARIES=()
}

# The version is stamped twice because the server side and the client side each keep their own.
recipe_kubernetes() {
  MODULE=k8s.io/kubernetes
  BINARIES=(kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubeadm kubectl kubelet)
  local version major minor package
  version=$(module_version kubernetes "$MODULE")
  IFS=. read -r major minor _ <<<"${version#v}"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    LDFLAGS+=" -X $package.gitVersion=$version -X $package.gitMajor=$major"
    LDFLAGS+=" -X $package.gitMinor=$minor -X $package.gitTreeState=archive"
  done
}

recipe_etcd() {
  MODULE=go.etcd.io/etcd/server/v3
  BINARIES=(etcd etcdctl)
}

recipe_coredns() {
  MODULE=github.com/coredns/coredns
  BINARIES=(coredns)
}

recipe_containerd() {
  MODULE=github.com/containerd/containerd/v2
  BINARIES=(containerd containerd-shim-runc-v2 ctr)
  LDFLAGS=" -X $MODULE/version.Version=$(module_version containerd "$MODULE")"
}

# Without seccomp every pod sandbox fails; with it runc needs C, and is linked statically (as a
# position-independent executable, like upstream's release) to run on any host.
recipe_runc() {
  MODULE=github.com/opencontainers/runc
  BINARIES=(runc)
  CGO=1 TAGS="seccomp netgo osusergo" BUILDMODE=pie
  LDFLAGS=" -linkmode external -extldflags -static-pie"
}

recipe_cni-plugins() {
  MODULE=github.com/containernetworking/plugins
  BINARIES=(bridge host-local loopback portmap)
  LDFLAGS=" -X $MODULE/pkg/utils/buildversion.BuildVersion=$(module_version cni-plugins "$MODULE")"
}

# helm decides by the stamped numbers which Kubernetes a chart is rendered for when no cluster is
# asked; unstamped it would claim 1.20 and today's charts would refuse.
recipe_helm() {
  MODULE=helm.sh/helm/v3
  BINARIES=(helm)
  local minor package
  IFS=. read -r _ minor _ <<<"$(module_version helm k8s.io/client-go)"
  LDFLAGS=" -X $MODULE/internal/version.version=$(module_version helm "$MODULE")"
  for package in pkg/lint/rules pkg/chartutil; do
    LDFLAGS+=" -X $MODULE/$package.k8sVersionMajor=1 -X $MODULE/$package.k8sVersionMinor=$minor"
  done
}

recipe_crane() {
  MODULE=github.com/google/go-containerregistry
  BINARIES=(crane)
  LDFLAGS=" -X $MODULE/cmd/crane/cmd.Version=$(module_version crane "$MODULE")"
}

recipe_oras() {
  MODULE=oras.land/oras
  BINARIES=(oras)
  LDFLAGS=" -X $MODULE/internal/version.BuildMetadata="
}

# Prints what the binary $1 says about its version. Each is started natively before it is kept.
ask_version() {
  case ${1##*/} in
    kubeadm) "$1" version -o short ;;
    kubectl) "$1" version --client ;;
    coredns) "$1" -version ;;
    containerd-shim-runc-v2) "$1" -v ;;
    etcdctl | crane | oras) "$1" version ;;
    helm) "$1" version --short ;;
    bridge | host-local | loopback | portmap) "$1" </dev/null 2>&1 ;;
    *) "$1" --version ;;
  esac
}

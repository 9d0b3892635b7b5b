#!/usr/bin/env bash
# npm test as on a machine where nobody has installed anything: a fresh clone of HEAD, empty caches and home, and a mount
# namespace without the system's HIP, LLVM and CUDA libraries. For root on Debian.
#
#   [CI=true] bash scripts/bare-test.sh [vitest arguments]     CI=true brings every compiler, as continuous integration does
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo 'bare-test: needs root, to mount' >&2; exit 1; }
if [ -z "${BARE_FOLDER:-}" ]; then
  BARE_FOLDER=$(mktemp -d)
  export BARE_FOLDER
  trap 'rm -rf "$BARE_FOLDER"' EXIT
  git -C "$(dirname "$0")/.." clone -q . "$BARE_FOLDER/clone"
  unshare --mount bash "$0" "$@"
  exit
fi

libraries=/usr/lib/x86_64-linux-gnu
mkdir "$BARE_FOLDER"/{upper,work,home,tmp}
shopt -s nullglob
hidden=0
for file in "$libraries"/lib{amdhip64,hiprtc,amd_comgr,hsa-runtime64,hsakmt,LLVM,clang,nvrtc,cuda,cudart,z3}*.so*; do
  mknod "$BARE_FOLDER/upper/${file##*/}" c 0 0 # how an overlay says that a file is gone
  hidden=$((hidden + 1))
done
mount -t tmpfs tmpfs "$BARE_FOLDER/tmp"
mkdir "$BARE_FOLDER/tmp/"{upper,work}
cp -a "$BARE_FOLDER/upper/." "$BARE_FOLDER/tmp/upper/"
mount -t overlay overlay -o "lowerdir=$libraries,upperdir=$BARE_FOLDER/tmp/upper,workdir=$BARE_FOLDER/tmp/work" "$libraries"
for folder in /opt/rocm* /usr/local/cuda* /usr/lib/cuda /usr/lib/llvm-*; do
  [ ! -d "$folder" ] || mount -t tmpfs tmpfs "$folder"
done
echo "bare-test: hidden: $hidden libraries; commit $(git -C "$BARE_FOLDER/clone" rev-parse --short HEAD)"

export NPM_CONFIG_USERCONFIG=${NPM_CONFIG_USERCONFIG:-$HOME/.npmrc} HOME=$BARE_FOLDER/home TMPDIR=$BARE_FOLDER/home
unset XDG_CACHE_HOME LD_LIBRARY_PATH ${!ROCMFORGE_*} ${!HIP*} ${!ROCM*} ${!CUDA*}
cd "$BARE_FOLDER/clone"
time npm test ${1:+-- "$@"}

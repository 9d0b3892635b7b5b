# Sourced by gpu-run.sh and gpu-bench.sh: unpacks what scripts/gpu-pack.mjs made. Sets `root`, which then holds node and
# rocmforge/, and the kernel cache's folder. ROCMFORGE_GPU_ROOT names the folder to unpack into (default: below TMPDIR).
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
root="${ROCMFORGE_GPU_ROOT:-${TMPDIR:-/tmp}/rocmforge-gpu}"

unxz_to() { # FILE: decompressed to standard output
  if command -v xz >/dev/null; then xz -dc "$1"
  else python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer, 1 << 20)' "$1"; fi
}

mkdir -p "$root"
if [ ! -x "$root/node" ]; then
  unxz_to "$here/.gpu/node.xz" >"$root/node.new"
  chmod +x "$root/node.new"
  mv "$root/node.new" "$root/node"
fi
rm -rf "$root/rocmforge"
unxz_to "$here/.gpu/suite.tar.xz" | tar -C "$root" -xf -
ln -sfn "$here/models" "$root/rocmforge/models"

export ROCMFORGE_CACHE_DIR="${ROCMFORGE_CACHE_DIR:-$root/cache}"

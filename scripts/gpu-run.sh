#!/usr/bin/env bash
# Unpacks what scripts/gpu-pack.mjs made and runs the GPU test suite on a machine without Node: arguments as for
# `npm run test:gpu`. ROCMFORGE_GPU_ROOT names the folder to unpack into (default: below TMPDIR).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/gpu-unpack.sh"
exec "$root/node" "$root/rocmforge/dist/gpu-suite.js" "$@"

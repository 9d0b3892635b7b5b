#!/usr/bin/env bash
# Benchmarks of shapes on this machine's GPU, and the same in PyTorch where it is installed, in one run: tables on standard
# output, all figures in a folder. Where Node and dist/ are missing it runs what scripts/gpu-pack.mjs packed.
#
#   bash scripts/gpu-bench.sh [--shapes llama-8b,llama-1b,…] [--weights bf16,…] [--into FOLDER] [-- options of rocmforge bench]
#
# Without options: the shapes and types below at contexts 128, 2048 and 8192, and batches 8 and 32 at context 1024.
set -euo pipefail
scripts="$(dirname "${BASH_SOURCE[0]}")"
shapes="llama-8b,llama-1b,qwen3-0.6b"
weights="bf16"
into="bench-results"
while [ $# -gt 0 ]; do
  case "$1" in
    --shapes) shapes="$2"; shift 2 ;;
    --weights) weights="$2"; shift 2 ;;
    --into) into="$2"; shift 2 ;;
    --) shift; break ;;
    *) echo "gpu-bench: there is no option $1; options are --shapes, --weights, --into, and -- before those of rocmforge bench" >&2; exit 1 ;;
  esac
done
mkdir -p "$into"
into="$(cd "$into" && pwd)"

if command -v node >/dev/null && [ -f "$scripts/../dist/cli.js" ]; then
  bench() { node "$scripts/../dist/cli.js" bench "$@"; }
else
  source "$scripts/gpu-unpack.sh"
  bench() { "$root/node" "$root/rocmforge/dist/cli.js" bench "$@"; }
fi

results=()
measure() { # NAME OPTIONS: one result, kept as NAME.json and NAME.txt
  local name="$1"; shift
  echo; echo "== $name"
  if bench "$@" --kernels --out "$into/$name.json" | tee "$into/$name.txt"; then results+=("$into/$name.json")
  else echo "gpu-bench: $name failed, going on" >&2; fi
}
for shape in ${shapes//,/ }; do
  for type in ${weights//,/ }; do
    if [ $# -gt 0 ]; then
      measure "$shape-$type" --shape "$shape" --weights "$type" "$@"
    else
      measure "$shape-$type" --shape "$shape" --weights "$type" --contexts 128,2048,8192
      measure "$shape-$type-batch" --shape "$shape" --weights "$type" --contexts 1024 --batch 8,32 --prompt 0
    fi
  done
done

[ ${#results[@]} -gt 0 ] || exit 1
echo; echo "== beside PyTorch"
if python3 -c 'import torch' 2>/dev/null; then
  rm -f "$into/torch.jsonl"
  python3 "$scripts/../bench/peers/torch_decode.py" "${results[@]}" --out "$into/torch.jsonl" | tee "$into/torch.txt"
else
  echo "left out: python3 has no torch"
fi

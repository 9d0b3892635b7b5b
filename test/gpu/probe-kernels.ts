// Small kernels of the suite's own, written against the prelude, compiled for whatever device is under test.
import { emitSource } from '../../codegen/source.ts'
import { targetDefines } from '../../codegen/target-defines.ts'
import type { Module } from '../../runtime/platform/driver.ts'
import type { SuiteDevice } from './suite-device.ts'

const text = `
#include "prelude/block.h"

extern "C" __global__ __launch_bounds__(BLOCK)
void scale(float* y, const float* x, float factor, i32 n, u32 offset, u64 big) {
  for (int i = block_id() * BLOCK + thread_id(); i < n; i += grid_size() * BLOCK)
    y[i] = x[i] * factor + float(offset) + float(big >> 40);
}

extern "C" __global__ __launch_bounds__(BLOCK)
void increment(i32* p) {
  if (block_id() == 0 && thread_id() == 0) p[0] += 1;
}

/** Reads TILE_VECTORS · BLOCK vectors of 16 bytes a tile; the sum keeps the reads alive. */
constexpr int TILE_VECTORS = 8;
extern "C" __global__ __launch_bounds__(BLOCK)
void read_all(float* out, const float* from, i32 tiles) {
  float sum = 0.f;
  for (int tile = block_id(); tile < tiles; tile += grid_size()) {
    const float* const start = from + (size_t(tile) * TILE_VECTORS * BLOCK + thread_id()) * 4;
    vec<float, 4> v[TILE_VECTORS];
    UNROLL for (int i = 0; i < TILE_VECTORS; i++) v[i] = load_nt<4>(start + size_t(i) * BLOCK * 4);
    UNROLL for (int i = 0; i < TILE_VECTORS; i++) sum += hsum(v[i]);
  }
  if (sum == 1.2345678e30f) out[0] = sum;
}
`

export const tileVectors = 8
/** threads of a block of these kernels */
export const probeBlock = (device: SuiteDevice): number => (device.target.platform === 'host' ? 1 : 256)

export async function probeModule(device: SuiteDevice): Promise<Module> {
  const defines = { P_BLOCK: probeBlock(device), ...targetDefines(device.target) }
  const source = emitSource({ template: 'probe.hip', defines, headers: { 'probe.hip': text } })
  const kernels = ['scale', 'increment', 'read_all']
  const [compiled] = await device.service.compileAll([
    { source, kernels, target: device.target, label: 'probe.hip', defines },
  ])
  return device.driver.loadModule(compiled!.image)
}

/** Bytes a second of a plain read of `bytes` device memory, the best of some grids; each timed several times. */
export async function readBandwidth(device: SuiteDevice, bytes: number): Promise<number> {
  const { driver } = device
  const block = probeBlock(device)
  const tileBytes = tileVectors * block * 16
  const tiles = Math.max(1, Math.floor(bytes / tileBytes))
  using module = await probeModule(device)
  using stream = driver.createStream()
  using memory = driver.alloc(tiles * tileBytes)
  using out = driver.alloc(4)
  using start = driver.createEvent()
  using stop = driver.createEvent()
  driver.fill32(memory.address, 0x3c003c00, (tiles * tileBytes) / 4)
  driver.synchronize()
  let best = 0
  for (const grid of [4 * device.target.cus, 32 * device.target.cus, 65536, tiles].map((n) => Math.min(n, tiles))) {
    const launch = driver.prepareLaunch({
      fn: module.kernel('read_all'),
      grid: [grid],
      block: [block],
      args: [
        { kind: 'pointer', address: out.address },
        { kind: 'pointer', address: memory.address },
        { kind: 'i32', value: tiles },
      ],
      label: 'read_all',
    })
    for (let round = 0; round < 4; round++) {
      start.record(stream)
      launch.enqueue(stream)
      stop.record(stream)
      await stop.synchronizeAsync()
      if (round > 0) best = Math.max(best, (tiles * tileBytes) / (stop.millisecondsSince(start) / 1e3))
    }
  }
  return best
}

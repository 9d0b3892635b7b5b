// wave.h, block.h, atomic.h, dot.h and tile.h: reductions, shuffles and tiles, for one thread a block and for many.
import { beforeAll, describe, expect, test } from 'vitest'
import { numberToBf16 } from '../../../ir/half.ts'
import { compileKernels, emulated, fast, type Kernels, seeded } from './prelude-harness.ts'

const text = /* cpp */ `
#include "prelude/tile.h"
#include "prelude/dot.h"
#include "prelude/atomic.h"

// 8 results a thread
extern "C" __global__ __launch_bounds__(BLOCK) void reductions(float* y, const float* x) {
  const int t = thread_id();
  const float v = x[block_id() * BLOCK + t];
  float* out = y + (block_id() * BLOCK + t) * 8;
  out[0] = wave_reduce(v, Add{});
  out[1] = block_reduce(v, Add{});
  out[2] = block_reduce(v, Max{});
  out[3] = block_reduce(i32(v), Min{});
  const Indexed best = block_reduce(Indexed{v, t}, ArgMax{});
  out[4] = best.index;
  constexpr int G = WAVE < 8 ? WAVE : 8;
  out[5] = group_reduce<G>(v, Add{});
  out[6] = wave_shfl(v, WAVE - 1);
  out[7] = wave_shfl_xor(v, WAVE / 2);
}
extern "C" __global__ __launch_bounds__(BLOCK) void votes(u64* y, const float* x) {
  const u64 bits = wave_ballot(x[thread_id()] > 0);
  y[thread_id()] = wave_uniform(bits);
}
extern "C" __global__ __launch_bounds__(BLOCK) void exchange(float* y, const float* x) {
  LDS(float, fixed, BLOCK);
  float* given = dyn_lds<float>();
  fixed[thread_id()] = x[thread_id()];
  given[thread_id()] = x[thread_id()] * 2;
  block_sync();
  y[thread_id()] = fixed[BLOCK - 1 - thread_id()] + given[BLOCK - 1 - thread_id()];
}
extern "C" __global__ __launch_bounds__(BLOCK) void counters(float* f, i32* i, u32* u) {
  atomic_add(f, 1.f);
  atomic_add(i, 2);
  atomic_max(i + 1, block_id() * BLOCK + thread_id());
  atomic_min(i + 2, -(block_id() * BLOCK + thread_id()));
  const u32 before = atomic_add(u, 1u);
  atomic_max(u + 1, before);
  device_fence();
}
extern "C" __global__ __launch_bounds__(BLOCK) void meet(u32* counter, u32* y) {
  y[block_id() * BLOCK + thread_id()] = 1;
  grid_sync(counter);
  u32 seen = 0;
  for (int i = 0; i < grid_size() * BLOCK; i++) seen += y[i] != 0;
  grid_sync(counter);
  y[block_id() * BLOCK + thread_id()] = seen;
}
extern "C" __global__ __launch_bounds__(BLOCK) void dots(i32* y, const i32* a, const i32* b, i32 n) {
  for (int i = thread_id(); i < n; i += BLOCK) y[i] = dot4_i8(a[i], b[i], i);
}
// one wave a tile: y[M, N] = a[M, K] · b[N, K]ᵀ
template <class E> DEVICE void product(float* y, const E* a, const E* b, i32 K) {
  constexpr int M = WAVE == 1 ? 4 : 32, N = WAVE == 1 ? 8 : 32, S = 32;
  tile_mma<M, N, S, E> c;
  c.clear();
  for (int k = 0; k < K; k += S) c.step(a + k, K, b + k, K);
  if (wave_id() == 0) c.each([&](int m, int n, float v) { y[m * N + n] = v; });
}
extern "C" __global__ __launch_bounds__(BLOCK) void product_f32(float* y, const float* a, const float* b, i32 K) {
  product(y, a, b, K);
}
extern "C" __global__ __launch_bounds__(BLOCK) void product_bf16(float* y, const bf16_t* a, const bf16_t* b, i32 K) {
  product(y, a, b, K);
}
`

describe.each([fast, emulated(32, 32), emulated(256, 32), emulated(256, 64)])('$name', (build) => {
  const { block, wave } = build
  let kernels: Kernels
  beforeAll(async () => {
    kernels = await compileKernels(text, build)
  }, 60_000)

  test('reductions, groups and shuffles', () => {
    const blocks = 3
    const random = seeded(1)
    const x = Float32Array.from({ length: blocks * block }, () => Math.round(random() * 200 - 100)) // sums are exact
    const y = new Float32Array(blocks * block * 8)
    kernels.run('reductions', blocks, [y, x])
    const sum = (values: Float32Array): number => values.reduce((a, b) => a + b, 0)
    for (let b = 0; b < blocks; b++) {
      const all = x.subarray(b * block, (b + 1) * block)
      for (let t = 0; t < block; t++) {
        const lane = t % wave
        const mine = all.subarray(t - lane, t - lane + wave)
        const group = Math.min(wave, 8)
        expect([...y.subarray((b * block + t) * 8, (b * block + t + 1) * 8)]).toEqual([
          sum(mine),
          sum(all),
          Math.max(...all),
          Math.min(...all),
          all.indexOf(Math.max(...all)),
          sum(mine.subarray(lane - (lane % group), lane - (lane % group) + group)),
          mine[wave - 1],
          mine[lane ^ (wave >> 1)],
        ])
      }
    }
  })

  test('ballot gives a bit a lane', () => {
    const x = Float32Array.from({ length: block }, (_, i) => (i % 3 ? 1 : -1))
    const y = new BigUint64Array(block)
    kernels.run('votes', 1, [y, x])
    for (let t = 0; t < block; t++) {
      let bits = 0n
      for (let lane = 0; lane < wave; lane++) if (x[t - (t % wave) + lane]! > 0) bits |= 1n << BigInt(lane)
      expect(y[t]).toBe(bits)
    }
  })

  test('static and dynamic LDS', () => {
    const x = Float32Array.from({ length: block }, (_, i) => i + 1)
    const y = new Float32Array(block)
    kernels.run('exchange', 1, [y, x], block * 4)
    expect([...y]).toEqual(Array.from({ length: block }, (_, i) => 3 * x[block - 1 - i]!))
  })

  test('atomics between blocks', () => {
    const [f, i, u] = [new Float32Array(1), new Int32Array(3), new Uint32Array(2)]
    kernels.run('counters', 5, [f, i, u])
    const threads = 5 * block
    expect([f[0], ...i, ...u]).toEqual([threads, 2 * threads, threads - 1, 1 - threads, threads, threads - 1])
  })

  test('the grid meets', () => {
    const y = new Uint32Array(block)
    kernels.run('meet', 1, [new Uint32Array(1), y]) // one block: a host with one core runs no two at a time
    expect([...y]).toEqual(Array(block).fill(block))
  })

  test('dot products of four bytes', () => {
    const random = seeded(2)
    const bytes = () => Int8Array.from({ length: 256 }, () => Math.round(random() * 255 - 128))
    const [a, b] = [bytes(), bytes()]
    const y = new Int32Array(64)
    kernels.run('dots', 1, [y, a, b, { i32: 64 }])
    const want = y.map((_, i) => [0, 1, 2, 3].reduce((sum, j) => sum + a[4 * i + j]! * b[4 * i + j]!, i))
    expect([...y]).toEqual([...want])
  })

  test.each(['f32', 'bf16'] as const)('tile_mma of %s', (type) => {
    const [M, N, K] = wave === 1 ? [4, 8, 64] : [32, 32, 64]
    const random = seeded(3)
    const matrix = (rows: number) => Float32Array.from({ length: rows * K }, () => Math.round(random() * 16 - 8))
    const [a, b] = [matrix(M), matrix(N)] // small whole numbers: exact in bf16, exact sums
    const stored = (v: Float32Array) => (type === 'f32' ? v : Uint16Array.from(v, numberToBf16))
    const y = new Float32Array(M * N).fill(Number.NaN)
    kernels.run(`product_${type}`, 1, [y, stored(a), stored(b), { i32: K }])
    for (let m = 0; m < M; m++)
      for (let n = 0; n < N; n++) {
        let sum = 0
        for (let k = 0; k < K; k++) sum += a[m * K + k]! * b[n * K + k]!
        expect(y[m * N + n]).toBe(sum)
      }
  })
})

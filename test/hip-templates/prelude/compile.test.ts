// The prelude compiles, without a warning and without a spill, with every run-time compiler that this machine has.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emitSource } from '../../../codegen/source.ts'
import { findTarget } from '../../../codegen/targets.ts'
import { packageRoot } from '../../../ir/package-root.ts'
import { quantFormats } from '../../../ir/quant.ts'
import { planes } from '../../../ir/weight-layout.ts'
import { openKernelCache } from '../../../runtime/cache/kernel-cache.ts'
import { spills } from '../../../runtime/code-object/code-object.ts'
import { createCompileService } from '../../../runtime/compile/service.ts'
import { atLeast, type Toolchain } from '../../../runtime/compile/toolchains.ts'
import { type Release, toolchainFor } from '../../toolchain.ts'

/** Kernels that use every primitive. */
const text = /* cpp */ `
#include "prelude/tile.h"
#include "prelude/dot.h"
#include "prelude/atomic.h"
${[
  ...Object.keys({ ...quantFormats, f32: 0, f16: 0, bf16: 0 }).map((type) => [type, `${type}_w`] as const),
  ...Object.keys(planes).map((type) => [`${type}_planes`, `${type}_planes<2048>`] as const),
]
  .map(
    ([
      name,
      type,
    ]) => `extern "C" __global__ __launch_bounds__(BLOCK) void gemv_${name}(float* y, const u8* w, const elem_t* x, i32 K, i32 M) {
  for (int m = block_id() * WAVES + wave_id(); m < M; m += grid_size() * WAVES) {
    vec<float, 16> acc = splat<16>(0.f);
    const u8* row = w + m * ${type}::row_bytes(K);
    for (int k = lane_id() * 16; k < K; k += WAVE * 16) ${type}::dot<16>(acc, row, k, load<16>(x + k));
    const float sum = wave_reduce(hsum(acc), Add{});
    if (lane_id() == 0) y[m] = sum;
  }
}`,
  )
  .join('\n')}
extern "C" __global__ __launch_bounds__(BLOCK) void together(float* y, i32* z, u32* c, const float* x) {
  const int t = thread_id();
  const Indexed best = block_reduce(Indexed{x[t], t}, ArgMax{});
  const float s = block_reduce(x[t], Add{}) + block_reduce(x[t], Max{});
  float* given = dyn_lds<float>();
  given[t] = s;
  block_sync();
  y[t] = given[BLOCK - 1 - t] + group_reduce<8>(s, Min{}) + wave_shfl(s, 3) + wave_shfl_xor(s, 1);
  z[t] = dot4_i8(z[0], z[1], best.index) + i32(wave_uniform(wave_ballot(x[t] > 0.f)));
  atomic_add(y, 1.f);
  atomic_max(z + 1, atomic_add(z, 1));
  atomic_min(c + 1, 2u);
  grid_sync(c);
}
extern "C" __global__ __launch_bounds__(BLOCK) void maths(elem_t* y, const elem_t* x, i32 n) {
  for (int i = (block_id() * BLOCK + thread_id()) * VEC; i < n; i += grid_size() * BLOCK * VEC) {
    const vec<float, VEC> v = load_tail<VEC>(x + i, n - i);
    vec<float, VEC> w = exp(v) + log(v) * tanh(v) - erf(v) / fast_exp(v);
    for (int j = 0; j < VEC; j++)
      w.set(j, w[j] + sin_f32(v[j]) + cos_f32(v[j]) + sqrt_f32(v[j]) + rsqrt_f32(v[j]) + round_f32(v[j]) +
                   floor_f32(v[j]) + fast_log(v[j]) + fast_rcp(v[j]) + fast_rsqrt(v[j]) + pow_f32(v[j], 0.5f));
    store_tail<VEC>(y + i, w, n - i);
  }
}
extern "C" __global__ __launch_bounds__(BLOCK) void product(float* y, const elem_t* a, const elem_t* b, i32 K) {
  constexpr int STRIDE = 32 + 16 / int(sizeof(elem_t));
  LDS(elem_t, la, 32 * STRIDE);
  LDS(elem_t, lb, 32 * STRIDE);
  tile_mma<32, 32, 32, elem_t> c;
  c.clear();
  for (int k = 0; k < K; k += 32) {
    block_sync();
    for (int i = thread_id() * 8; i < 32 * 32; i += BLOCK * 8) {
      store<8>(la + i / 32 * STRIDE + i % 32, load<8>(a + i / 32 * K + k + i % 32));
      store<8>(lb + i / 32 * STRIDE + i % 32, load_nt<8>(b + i / 32 * K + k + i % 32));
    }
    block_sync();
    c.step(la, STRIDE, lb, STRIDE);
  }
  if (wave_id() == 0) c.each([&](int m, int n, float v) { y[m * 32 + n] = v; });
}
`
const kernels = [...text.matchAll(/void (\w+)\(/g)].map((match) => match[1]!)

let folder: string
let workerEntry: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rocmforge-prelude-'))
  workerEntry = join(packageRoot(), 'node_modules', '.cache', 'rocmforge-test', `prelude-worker-${process.pid}.mjs`)
  await build({
    entryPoints: [join(packageRoot(), 'runtime/compile/worker.ts')],
    outfile: workerEntry,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
  })
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
  rmSync(workerEntry, { force: true })
})

async function compile(toolchain: Toolchain, target: string, elem: string, env: Record<string, string> = {}) {
  using service = createCompileService({
    cache: openKernelCache({
      root: join(folder, `${toolchain.version} ${target} ${elem} ${Object.keys(env)}`),
      readOnly: [],
    }),
    workerEntry,
    jobs: 1,
    toolchain: () => toolchain,
    env: { ...process.env, ...env },
    failedFolder: join(folder, 'failed'),
  })
  const defines = { P_BLOCK: 256, P_ELEM: elem }
  const source = emitSource({ template: 'test.hip', defines, headers: { 'test.hip': text } })
  const options = ['-Wall', '-Wextra'].filter(() => toolchain.family === 'hiprtc')
  const job = { source, kernels, target: findTarget(target), label: 'test.hip', options }
  const [made] = await service.compileAll([job])
  return made!
}

const releases: [release: Release, target: string, elem: string, builtinHeader: boolean][] = [
  ['5.2', 'gfx906', 'bf16_t', true],
  ['5.2', 'gfx1030', 'f32_t', true],
  ['6.4', 'gfx942', 'bf16_t', false],
  ['6.4', 'gfx1010', 'f32_t', false],
  ['6.4', 'gfx1100', 'f16_t', true],
  ['7.2', 'gfx950', 'bf16_t', false],
  ['7.2', 'gfx1201', 'f16_t', false],
]

describe('hipRTC', () => {
  test.each(releases)(
    '%s for %s, activations %s, built-in header %s',
    async (release, target, elem, header) => {
      const toolchain = toolchainFor(release, `the prelude for ${target}`)
      if (!toolchain) return
      const { log, resources } = await compile(toolchain, target, elem, header ? { ROCMFORGE_BUILTIN_HEADER: '1' } : {})
      expect(log).toBe('')
      expect(resources.filter(spills)).toEqual([])
    },
    60_000,
  )
})

test.each(['sm_80', 'sm_90', 'sm_100'])(
  'NVRTC for %s',
  async (target) => {
    const toolchain = toolchainFor('nvrtc', `the prelude for ${target}`)
    if (!toolchain) return
    if (target === 'sm_100' && !atLeast(toolchain.version, '12.8'))
      return console.log(`skipped: NVRTC ${toolchain.version} is older than ${target}`)
    const { log, resources } = await compile(toolchain, target, 'bf16_t')
    expect(log).toBe('')
    expect(resources.filter(spills)).toEqual([])
  },
  60_000,
)

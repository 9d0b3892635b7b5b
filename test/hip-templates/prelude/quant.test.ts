// vec.h and quant.h: what is loaded equals the reference decoder bit for bit, in every chunk width, on every host build.
import { beforeAll, describe, expect, test } from 'vitest'
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../../../ir/half.ts'
import { dequantize, type QuantType, quantFormats } from '../../../ir/quant.ts'
import { compileKernels, emulated, fast, type Kernels, olderFast, seeded } from './prelude-harness.ts'

const quants = Object.keys(quantFormats) as QuantType[]
const widths = [8, 16, 32] as const
const K = 512
const rows = 40

const text = /* cpp */ `
#include "prelude/quant.h"
template <class W, int N> DEVICE void decode(float* y, const u8* w, i32 rows, i32 K) {
  for (int r = block_id(); r < rows; r += grid_size()) {
    const u8* row = w + r * W::row_bytes(K);
    for (int k = thread_id() * N; k < K; k += BLOCK * N) {
      store<N>(y + r * K + k, W::template load<N>(row, k));
      vec<float, N> acc = splat<N>(0.f);
      W::template dot<N>(acc, row, k, splat<N>(1.f));  // what load_nt gives, exactly
      store<N>(y + (rows + r) * K + k, acc);
    }
  }
}
${[...quants, 'f32', 'f16', 'bf16']
  .flatMap((type) =>
    widths.map(
      (
        n,
      ) => `extern "C" __global__ __launch_bounds__(BLOCK) void ${type}_by_${n}(float* y, const u8* w, i32 rows, i32 K) {
  decode<${type}_w, ${n}>(y, w, rows, K);
}`,
    ),
  )
  .join('\n')}
template <class T, int N> DEVICE void tails(float* y, T* z, const T* x) {
  for (int n = 0; n <= N; n++) {
    const vec<float, N> v = load_tail<N>(x + n, n);
    store<N>(y + n * N, v);
    store_tail<N>(z + n * N, v + 1.f, n);
  }
}
extern "C" __global__ void tails_f32(float* y, f32_t* z, const f32_t* x) { tails<f32_t, 16>(y, z, x); }
extern "C" __global__ void tails_f16(float* y, f16_t* z, const f16_t* x) { tails<f16_t, 16>(y, z, x); }
extern "C" __global__ void tails_bf16(float* y, bf16_t* z, const bf16_t* x) { tails<bf16_t, 16>(y, z, x); }
template <int N> DEVICE void arithmetic(float* y, const float* x) {
  const vec<float, N> a = load<N>(x), b = load_nt<N>(x + N);
  vec<float, N> c = a + b;
  c += 1.f;
  store<N>(y, c);
  store<N>(y + N, (a - b) * a);
  store<N>(y + 2 * N, 2.f / b);
  store<N>(y + 3 * N, fma(a, b, splat<N>(3.f)));
  store<N>(y + 4 * N, max(a, b));
  store<N>(y + 5 * N, min(a, b));
  store<N>(y + 6 * N, abs(-a));
  vec<float, N> d = a;
  for (int i = 0; i < N; i++) d.set(i, a[N - 1 - i]);
  store<N>(y + 7 * N, d);
  y[8 * N] = hsum(a), y[8 * N + 1] = hmax(a), y[8 * N + 2] = hmin(a);
}
${[1, 2, 4, 8, 16, 32, 64].map((n) => `extern "C" __global__ void arithmetic_${n}(float* y, const float* x) { arithmetic<${n}>(y, x); }`).join('\n')}
`

/** Random blocks whose scales are finite, as a quantiser writes them. */
function blocks(type: QuantType, seed: number): Uint8Array {
  const { block, bytes } = quantFormats[type]
  const random = seeded(seed)
  const data = Uint8Array.from({ length: ((rows * K) / block) * bytes }, () => random() * 256)
  const view = new DataView(data.buffer)
  const scales = type === 'q6_k' ? [208] : /_1$|[45]_k/.test(type) ? [0, 2] : [0]
  for (let at = 0; at < data.length; at += bytes)
    for (const scale of scales) {
      const kind = random() // mostly ordinary; zero and subnormal too
      const d = kind < 0.05 ? 0 : kind < 0.1 ? random() * 6e-5 : 10 ** (random() * 4 - 4)
      view.setUint16(at + scale, numberToF16(random() < 0.3 ? -d : d), true)
    }
  return data
}

function same(got: Float32Array, want: Float32Array): void {
  for (const [i, w] of want.entries())
    if (!Object.is(got[i], w) && got[i] !== w) expect.fail(`element ${i} is ${got[i]}, not ${w}`)
}

describe.each([fast, ...olderFast, emulated(64, 32)])('$name', (build) => {
  let kernels: Kernels
  beforeAll(async () => {
    kernels = await compileKernels(text, build)
  }, 60_000)

  test.each(quants.flatMap((type) => widths.map((n) => [type, n] as const)))('%s decodes by %i', (type, n) => {
    const data = blocks(type, n)
    const want = new Float32Array(rows * K)
    dequantize(type, new DataView(data.buffer), 0, rows * K, want)
    const y = new Float32Array(2 * rows * K)
    kernels.run(`${type}_by_${n}`, 2, [y, data, { i32: rows }, { i32: K }])
    same(y.subarray(0, rows * K), want)
    same(y.subarray(rows * K), want)
  })

  test.each([
    ['f16', f16ToNumber, numberToF16],
    ['bf16', bf16ToNumber, numberToBf16],
  ] as const)('%s weights and tails', (type, toNumber, fromNumber) => {
    const random = seeded(7)
    const data = Uint16Array.from({ length: rows * K }, () => fromNumber(random() * 8 - 4))
    for (const n of widths) {
      const y = new Float32Array(2 * rows * K)
      kernels.run(`${type}_by_${n}`, 1, [y, data, { i32: rows }, { i32: K }])
      same(y.subarray(0, rows * K), Float32Array.from(data, toNumber))
      same(y.subarray(rows * K), Float32Array.from(data, toNumber))
    }
    if (build.block > 1) return
    const y = new Float32Array(17 * 16)
    const z = new Uint16Array(17 * 16).fill(0x7fff)
    kernels.run(`tails_${type}`, 1, [y, z, data.slice(0, 64)])
    for (let n = 0; n <= 16; n++)
      for (let i = 0; i < 16; i++) {
        const v = i < n ? toNumber(data[n + i]!) : 0
        expect(y[n * 16 + i]).toBe(v)
        expect(z[n * 16 + i]).toBe(i < n ? fromNumber(Math.fround(v + 1)) : 0x7fff)
      }
  })

  test('f32 weights and tails', () => {
    const random = seeded(8)
    const data = Float32Array.from({ length: rows * K }, () => random() * 8 - 4)
    const y = new Float32Array(2 * rows * K)
    kernels.run('f32_by_16', 1, [y, data, { i32: rows }, { i32: K }])
    same(y.subarray(0, rows * K), data)
    if (build.block > 1) return
    const z = new Float32Array(17 * 16).fill(Number.NaN)
    kernels.run('tails_f32', 1, [y.subarray(0, 17 * 16), z, data.slice(0, 64)])
    for (let n = 0; n <= 16; n++)
      for (let i = 0; i < 16; i++) expect(z[n * 16 + i]).toBe(i < n ? Math.fround(data[n + i]! + 1) : Number.NaN)
  })

  test.each([1, 2, 4, 8, 16, 32, 64])('arithmetic of %i lanes', (n) => {
    if (build.block > 1) return
    const random = seeded(n)
    const x = Float32Array.from({ length: 2 * n }, () => Math.round(random() * 64 - 32) / 4 || 1)
    const [a, b] = [[...x.subarray(0, n)], [...x.subarray(n)]]
    const y = new Float32Array(8 * n + 3)
    kernels.run(`arithmetic_${n}`, 1, [y, x])
    const want = [
      ...a.map((v, i) => v + b[i]! + 1),
      ...a.map((v, i) => (v - b[i]!) * v),
      ...b.map((v) => 2 / v),
      ...a.map((v, i) => v * b[i]! + 3),
      ...a.map((v, i) => Math.max(v, b[i]!)),
      ...a.map((v, i) => Math.min(v, b[i]!)),
      ...a.map(Math.abs),
      ...[...a].reverse(),
      a.reduce((sum, v) => sum + v, 0),
      Math.max(...a),
      Math.min(...a),
    ]
    expect([...y]).toEqual(want.map(Math.fround))
  })
})

// math.h and the 16-bit floats of base.h, on every kind of host build: GPUs compile the same functions.
import { beforeAll, describe, expect, test } from 'vitest'
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../../../ir/half.ts'
import { compileKernels, fast, type Kernels, olderFast, seeded, ulps } from './prelude-harness.ts'

const functions = ['exp', 'log', 'sin', 'cos', 'tanh', 'erf', 'sqrt', 'rsqrt', 'round', 'floor'] as const
const vectors = ['exp', 'log', 'tanh', 'erf'] as const

const text = /* cpp */ `
#include "prelude/vec.h"
${functions
  .map(
    (f) => `extern "C" __global__ void scalar_${f}(float* y, const float* x, i32 n) {
  for (int i = 0; i < n; i++) y[i] = ${f}_f32(x[i]);
}`,
  )
  .join('\n')}
${vectors
  .map(
    (f) => `extern "C" __global__ void vector_${f}(float* y, const float* x, i32 n) {
  for (int i = 0; i < n; i += 32) store<32>(y + i, ${f}(load<32>(x + i)));
}`,
  )
  .join('\n')}
extern "C" __global__ void fast(float* y, const float* x, i32 n) {
  for (int i = 0; i < n; i++) {
    y[4 * i] = fast_exp(x[i]);
    y[4 * i + 1] = fast_log(x[i]);
    y[4 * i + 2] = fast_rcp(x[i]);
    y[4 * i + 3] = fast_rsqrt(x[i]);
  }
}
extern "C" __global__ void power(float* y, const float* x, i32 n) {
  for (int i = 0; i < n; i++) y[i] = pow_f32(x[2 * i], x[2 * i + 1]);
}
template <class T> DEVICE void convert(float* wide, u16* narrow, const u16* bits, const float* x, i32 n) {
  for (int i = 0; i < 65536; i++) wide[i] = float(bit_cast<T>(bits[i]));
  for (int i = 0; i < 65536; i += 32) store<32>(wide + 65536 + i, load<32>((const T*)bits + i));
  for (int i = 0; i < n; i++) narrow[i] = bit_cast<u16>(T(x[i]));
  for (int i = 0; i < n; i += 32) store<32>((T*)narrow + n + i, load<32>(x + i));
}
extern "C" __global__ void halves(float* wide, u16* narrow, const u16* bits, const float* x, i32 n) {
  convert<f16_t>(wide, narrow, bits, x, n);
}
extern "C" __global__ void brains(float* wide, u16* narrow, const u16* bits, const float* x, i32 n) {
  convert<bf16_t>(wide, narrow, bits, x, n);
}
`

/** erf by its series, or by the continued fraction of its complement. */
function erf(x: number): number {
  const a = Math.abs(x)
  if (a < 2.5) {
    let term = a
    let sum = a
    for (let k = 1; k < 80; k++) {
      term *= (-a * a) / k
      sum += term / (2 * k + 1)
    }
    return Math.sign(x) * sum * (2 / Math.sqrt(Math.PI))
  }
  let fraction = 0
  for (let k = 60; k >= 1; k--) fraction = k / 2 / (a + fraction)
  return Math.sign(x) * (1 - Math.exp(-a * a) / ((a + fraction) * Math.sqrt(Math.PI)))
}

const nearestEven = (x: number): number => {
  const low = Math.floor(x)
  if (x - low !== 0.5) return Math.round(x)
  return low % 2 === 0 ? low : low + 1
}

const exact: Record<(typeof functions)[number], (x: number) => number> = {
  exp: Math.exp,
  log: Math.log,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  erf: (x) => (Number.isFinite(x) ? erf(x) : Math.sign(x)),
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  round: nearestEven,
  floor: Math.floor,
}

const n = 65536
const special = [
  0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, 1e-40, -1e-40, 1.17549435e-38, 88.72, 88.7229, -87.4, -103.9, -104.1,
]
const edges = [...special, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]

/** `edges`, then numbers between the bounds, half of them evenly and half by magnitude. */
function inputs(low: number, high: number, smallest: number): Float32Array {
  const random = seeded(1)
  const most = Math.max(Math.abs(low), Math.abs(high))
  return Float32Array.from({ length: n }, (_, i) => {
    if (i < edges.length) return edges[i]!
    if (i % 2) return low + (high - low) * random()
    const size = smallest * (most / smallest) ** random()
    return low < 0 && random() < 0.5 ? -size : size
  })
}
const ranges: Record<(typeof functions)[number], Float32Array> = {
  exp: inputs(-110, 95, 1e-9),
  log: inputs(0, 3e38, 1e-44),
  sin: inputs(-1e5, 1e5, 1e-6),
  cos: inputs(-1e5, 1e5, 1e-6),
  tanh: inputs(-12, 12, 1e-9),
  erf: inputs(-5, 5, 1e-9),
  sqrt: inputs(0, 1e30, 1e-44),
  rsqrt: inputs(0, 1e30, 1e-44),
  round: inputs(-1e8, 1e8, 1e-3),
  floor: inputs(-1e8, 1e8, 1e-3),
}

function worst(f: (typeof functions)[number], y: Float32Array): [error: number, at: number | undefined] {
  let most = 0
  let at: number | undefined
  for (const [i, x] of ranges[f].entries()) {
    const error = ulps(y[i]!, exact[f](x))
    if (error > most || Number.isNaN(error)) [most, at] = [error, x]
  }
  return [most, at]
}

describe.each([fast, ...olderFast])('$name', (build) => {
  let kernels: Kernels
  beforeAll(async () => {
    kernels = await compileKernels(text, build)
  })

  test.each(functions)('%s_f32 is within 4 ulp', (f) => {
    const y = new Float32Array(n)
    kernels.run(`scalar_${f}`, 1, [y, ranges[f], { i32: n }])
    const [error, at] = worst(f, y)
    expect(error, `at ${at}`).toBeLessThan(['round', 'floor', 'sqrt'].includes(f) ? 1 : 4)
  })

  test.each(vectors)('%s of a vector is within 4 ulp', (f) => {
    const y = new Float32Array(n)
    kernels.run(`vector_${f}`, 1, [y, ranges[f], { i32: n }])
    const [error, at] = worst(f, y)
    expect(error, `at ${at}`).toBeLessThan(4)
  })

  test('fast functions are within 1e-6', () => {
    const random = seeded(2)
    const x = Float32Array.from({ length: n }, () => 10 ** (random() * 4 - 2))
    const y = new Float32Array(4 * n)
    kernels.run('fast', 1, [y, x, { i32: n }])
    for (const [i, v] of x.entries()) {
      const want = [Math.exp(v), Math.log(v), 1 / v, 1 / Math.sqrt(v)]
      for (const [f, w] of want.entries()) {
        if (!Number.isFinite(Math.fround(w))) continue
        const scale = f === 1 ? Math.max(1, Math.abs(w)) : Math.abs(w)
        if (!(Math.abs(y[4 * i + f]! - w) <= 1e-6 * scale))
          expect.fail(`function ${f} of ${v}: ${y[4 * i + f]}, not ${w}`)
      }
    }
  })

  test('pow_f32 is within 1 ulp and keeps the rules at 0, 1 and infinity', () => {
    const random = seeded(3)
    const values = [0, -0, 1, -1, 2, -2, 3, 0.5, -0.5, 1e30, -1e30, Infinity, -Infinity, NaN]
    const pairs = values.flatMap((a) => values.map((b) => [a, b] as const))
    for (let i = 0; i < 20000; i++) pairs.push([10 ** (random() * 12 - 6), random() * 20 - 10], [10000, -random()])
    const y = new Float32Array(pairs.length)
    kernels.run('power', 1, [y, Float32Array.from(pairs.flat()), { i32: pairs.length }])
    for (const [i, pair] of pairs.entries()) {
      const [a, b] = [Math.fround(pair[0]), Math.fround(pair[1])]
      const want = a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b // C's pow, not JavaScript's
      if (!(ulps(y[i]!, want) < 1)) expect.fail(`pow(${a}, ${b}) is ${y[i]}, not ${want}`)
    }
  })

  test.each([
    ['f16', 'halves', f16ToNumber, numberToF16],
    ['bf16', 'brains', bf16ToNumber, numberToBf16],
  ] as const)('%s converts exactly both ways', (_, kernel, toNumber, fromNumber) => {
    const random = seeded(4)
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i)
    const count = 65536 * 4
    const x = new Float32Array(count)
    const patterns = new Uint32Array(x.buffer)
    for (let i = 0; i < count; i++) {
      // any pattern; near every 16-bit value; and halfway between two of them
      if (i % 4 === 0) patterns[i] = random() * 4294967296
      else x[i] = toNumber(i >> 2)
      if (i % 4 === 2) patterns[i] = patterns[i]! + Math.floor(random() * 65536) - 32768
      if (i % 4 === 3) x[i] = (toNumber(i >> 2) + toNumber((i >> 2) + 1)) / 2
    }
    const wide = new Float32Array(2 * 65536)
    const narrow = new Uint16Array(2 * count)
    kernels.run(kernel, 1, [wide, narrow, bits, x, { i32: count }])
    for (let i = 0; i < 65536; i++) {
      for (const got of [wide[i]!, wide[65536 + i]!])
        if (!Object.is(got, toNumber(i))) expect.fail(`bits ${i} give ${got}, not ${toNumber(i)}`)
    }
    for (let i = 0; i < count; i++) {
      const v = x[i]!
      for (const got of [narrow[i]!, narrow[count + i]!]) {
        const good = Number.isNaN(v) ? Number.isNaN(toNumber(got)) : got === fromNumber(v)
        if (!good) expect.fail(`${v} becomes ${got}, not ${fromNumber(v)}`)
      }
    }
  })
})

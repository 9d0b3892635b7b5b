// Quantisers for test models: rows of floats → GGUF blocks. Simple rounding with a short search of the scale for the
// 256-element formats; the project itself never quantises. Arithmetic is float32 where that decides the bits.
import { f16ToNumber, numberToF16 } from '../ir/half.ts'
import { type QuantType, quantFormats } from '../ir/quant.ts'

/** Blocks of `values`, whose count is a whole number of blocks. */
export function quantize(type: QuantType, values: Float32Array): Uint8Array {
  const { block, bytes } = quantFormats[type]
  if (values.length % block) throw new Error(`${values.length} values are not whole ${type} blocks`)
  const out = new Uint8Array((values.length / block) * bytes)
  const view = new DataView(out.buffer)
  for (let n = 0; n * block < values.length; n++) {
    encoders[type](values.subarray(n * block, (n + 1) * block), view, n * bytes)
  }
  return out
}

type Encoder = (x: Float32Array, out: DataView, at: number) => void
const f = Math.fround

const encoders: Record<QuantType, Encoder> = {
  q8_0(x, out, at) {
    const d = f(x.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 127)
    out.setUint16(at, numberToF16(d), true)
    x.forEach((v, i) => {
      const scaled = d === 0 ? 0 : f(v / d)
      out.setInt8(at + 2 + i, Math.sign(scaled) * Math.floor(f(Math.abs(scaled) + 0.5)))
    })
  },
  q4_0: (x, out, at) => signed(x, out, at, 4),
  q5_0: (x, out, at) => signed(x, out, at, 5),
  q4_1: (x, out, at) => shifted(x, out, at, 4),
  q5_1: (x, out, at) => shifted(x, out, at, 5),
  q4_k: (x, out, at) => grouped(x, out, at, 4),
  q5_k: (x, out, at) => grouped(x, out, at, 5),
  q6_k(x, out, at) {
    const scales = Array.from({ length: 16 }, (_, g) => bestScale(x.subarray(g * 16, g * 16 + 16)))
    const big = scales.reduce((most, s) => (Math.abs(s) > Math.abs(most) ? s : most), 0)
    const d = half(out, at + 208, big / -128)
    scales.forEach((scale, g) => {
      const s = d === 0 ? 0 : clamp(roundEven(scale / d), -128, 127)
      out.setInt8(at + 192 + g, s)
      const step = d * s
      for (let i = g * 16; i < g * 16 + 16; i++) {
        const q = (step === 0 ? 0 : clamp(roundEven(x[i]! / step), -32, 31)) + 32
        const part = i >> 7
        const group = (i >> 5) & 3
        or(out, at + part * 64 + (group & 1) * 32 + (i & 31), (q & 15) << ((group >> 1) * 4))
        or(out, at + 128 + part * 32 + (i & 31), (q >> 4) << (group * 2))
      }
    })
  },
}

/** q4_0 and q5_0: the element of largest size becomes -2^(bits-1). */
function signed(x: Float32Array, out: DataView, at: number, bits: 4 | 5): void {
  const half = 1 << (bits - 1)
  const big = x.reduce((most, v) => (Math.abs(v) > Math.abs(most) ? v : most), 0)
  const d = f(big / -half)
  out.setUint16(at, numberToF16(d), true)
  store(x, out, at + 2, bits, (v) => Math.floor(f(f(d === 0 ? 0 : v / d) + half + 0.5)))
}

/** q4_1 and q5_1: from minimum to maximum. */
function shifted(x: Float32Array, out: DataView, at: number, bits: 4 | 5): void {
  const [low, high] = range(x)
  const d = f((high - low) / ((1 << bits) - 1))
  out.setUint16(at, numberToF16(d), true)
  out.setUint16(at + 2, numberToF16(low), true)
  store(x, out, at + 4, bits, (v) => Math.floor(f(d === 0 ? 0 : (v - low) / d) + 0.5))
}

function store(x: Float32Array, out: DataView, at: number, bits: 4 | 5, level: (v: number) => number): void {
  const nibbles = bits === 5 ? at + 4 : at
  x.forEach((v, i) => {
    const q = clamp(level(v), 0, (1 << bits) - 1)
    or(out, nibbles + (i & 15), (q & 15) << (i < 16 ? 0 : 4))
    if (bits === 5) or(out, at + (i >> 3), (q >> 4) << (i & 7))
  })
}

/** q4_k and q5_k: 8 groups of 32, each with a 6-bit scale and minimum. */
function grouped(x: Float32Array, out: DataView, at: number, bits: 4 | 5): void {
  const top = (1 << bits) - 1
  const fits = Array.from({ length: 8 }, (_, g) => bestFit(x.subarray(g * 32, g * 32 + 32), top))
  const d = half(out, at, Math.max(...fits.map(({ scale }) => scale)) / 63)
  const dmin = half(out, at + 2, Math.max(...fits.map(({ least }) => least)) / 63)
  const nibbles = at + (bits === 5 ? 48 : 16)
  fits.forEach(({ scale, least }, g) => {
    const s = d === 0 ? 0 : clamp(roundEven(scale / d), 0, 63)
    const m = dmin === 0 ? 0 : clamp(roundEven(least / dmin), 0, 63)
    if (g < 4) {
      or(out, at + 4 + g, s)
      or(out, at + 8 + g, m)
    } else {
      or(out, at + 8 + g, (s & 15) | ((m & 15) << 4))
      or(out, at + g, (s >> 4) << 6)
      or(out, at + 4 + g, (m >> 4) << 6)
    }
    for (let i = 0; i < 32; i++) {
      const q = d * s === 0 ? 0 : clamp(roundEven((x[g * 32 + i]! + dmin * m) / (d * s)), 0, top)
      or(out, nibbles + (g >> 1) * 32 + i, (q & 15) << ((g & 1) * 4))
      if (bits === 5) or(out, at + 16 + i, (q >> 4) << g)
    }
  })
}

/** Scale and minimum (both >= 0) of x ≈ scale · q - least with q in 0..top, the best of some shrunken ranges. */
function bestFit(x: Float32Array, top: number): { scale: number; least: number } {
  const [low, high] = range(x)
  let best = { error: Number.POSITIVE_INFINITY, scale: 0, least: 0 }
  for (const shrink of [0.85, 0.9, 0.95, 1, 1.03]) {
    const scale = ((Math.max(high, 0) - Math.min(low, 0)) * shrink) / top
    const least = -Math.min(low, 0) * shrink
    if (scale === 0) return { scale, least }
    const error = x.reduce(
      (sum, v) => sum + (scale * clamp(roundEven((v + least) / scale), 0, top) - least - v) ** 2,
      0,
    )
    if (error < best.error) best = { error, scale, least }
  }
  return best
}

/** Scale of x ≈ scale · q with q in -32..31: some candidates, each refined by least squares. */
function bestScale(x: Float32Array): number {
  const big = x.reduce((most, v) => (Math.abs(v) > Math.abs(most) ? v : most), 0)
  let best = { error: Number.POSITIVE_INFINITY, scale: 0 }
  if (big === 0) return 0
  for (const top of [-32, -31.5, -31, -30, -29, -28]) {
    const levels = Array.from(x, (v) => clamp(roundEven((v / big) * top), -32, 31))
    const squares = levels.reduce((sum, q) => sum + q * q, 0)
    const scale = levels.reduce((sum, q, i) => sum + q * x[i]!, 0) / squares
    const error = levels.reduce((sum, q, i) => sum + (scale * q - x[i]!) ** 2, 0)
    if (error < best.error) best = { error, scale }
  }
  return best.scale
}

/** Stores `value` as f16 and returns what was stored. */
function half(out: DataView, at: number, value: number): number {
  out.setUint16(at, numberToF16(value), true)
  return f16ToNumber(out.getUint16(at, true))
}

const range = (x: Float32Array): [number, number] => [
  x.reduce((low, v) => Math.min(low, v), Number.POSITIVE_INFINITY),
  x.reduce((high, v) => Math.max(high, v), Number.NEGATIVE_INFINITY),
]
const or = (out: DataView, at: number, bits: number): void => out.setUint8(at, out.getUint8(at) | bits)
const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value))
const roundEven = (value: number): number => {
  const down = Math.floor(value)
  return value - down > 0.5 || (value - down === 0.5 && down % 2 !== 0) ? down + 1 : down
}

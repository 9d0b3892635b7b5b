import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { dequantize, type QuantType, quantFormats } from '../../ir/quant.ts'
import fc from '../fast-check.ts'
import { normals } from '../hf-writer.ts'
import { quantize } from '../quantize.ts'

const types = Object.keys(quantFormats) as QuantType[]

function decode(type: QuantType, data: Uint8Array): Float32Array {
  const { block, bytes } = quantFormats[type]
  const out = new Float32Array((data.length / bytes) * block)
  dequantize(type, new DataView(data.buffer, data.byteOffset, data.byteLength), 0, out.length, out)
  return out
}

describe('against the decoders of the gguf Python package (dequantize of its quants.py, 0.19.0)', () => {
  // sha256 of the f32 results, NaN as 0x7fc00000, of 64 blocks of bytes from a linear congruential generator
  const expected: Record<QuantType, string> = {
    q8_0: 'c43299a023d6b360a4ea3a6bf3275170f4a28330ebf31d42997c02eda8d9f1da',
    q4_0: '5fb6cf42e230773dc246664e7a7ee87e8b9914d2b812a8fb980ac1cdc0ec3ce1',
    q4_1: 'b5738f5d8bd1bc7d1c27e7daee8881c833aed2b70c3882727e7c676ecf2c39cf',
    q5_0: 'a06b38d2b37cb2699ca39016aa52c73fc8054b3a229506db1bc6bc5480169634',
    q5_1: '848aec48375eaf9c5d728cbd1a70c9a4aa5fd07f5e98843b1682a3504d1b5e3e',
    q4_k: '9b814dd6e659fbbf15ed8f9b7206b77e1e6a409fad4ca0a29d6dbbf2395f9490',
    q5_k: '03fde347dbc25614ba36f2cf80e31e0c15bce309317be8ce98320ceba3b90039',
    q6_k: 'd465b985fd93d28caeefefe6ea044a20618fa243234276df4fd818ffefbd65f7',
  }
  let state = 12345
  const byte = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 24
  }
  const inputs = types.map((type): [QuantType, Uint8Array] => [
    type,
    Uint8Array.from({ length: quantFormats[type].bytes * 64 }, byte),
  ])
  test.each(inputs)('%s agrees bit for bit', (type, data) => {
    const out = decode(type, data)
    const bits = new Uint32Array(out.buffer)
    out.forEach((value, i) => {
      if (Number.isNaN(value)) bits[i] = 0x7fc00000
    })
    expect(createHash('sha256').update(bits).digest('hex')).toBe(expected[type])
  })
})

describe('by hand', () => {
  const half = (value: 1 | 2 | -1): number[] => [0, { 1: 0x3c, 2: 0x40, [-1]: 0xbc }[value]]
  test('q4_0: low nibbles first, then high nibbles', () => {
    const out = decode('q4_0', Uint8Array.from([...half(2), 0xf0, ...Array(15).fill(0x88)]))
    expect([out[0], out[16], out[1], out[17]]).toEqual([-16, 14, 0, 0])
  })
  test('q5_0: the fifth bits lie apart', () => {
    const out = decode('q5_0', Uint8Array.from([...half(1), 1, 0, 1, 0, 0x21, ...Array(15).fill(0)]))
    expect([out[0], out[16], out[1]]).toEqual([1, 2, -16])
  })
  test('q4_k: scales of the later groups are put together from two places', () => {
    const data = new Uint8Array(144)
    data.set([...half(1), ...half(1)])
    data[4] = 0xc0 // top two bits of the scale of group 4
    data[4 + 8] = 0x5a // group 4: scale 10, minimum 5
    data[16 + 64] = 0x03 // group 4, element 0
    expect(decode('q4_k', data)[128]).toBe((48 + 10) * 3 - 5)
  })
})

test.each(types)('%s: quantised values come back within a step', (type) => {
  const { block } = quantFormats[type]
  const bits = Number(type[1])
  fc.assert(
    // from 0.25 on the scale of a block of 256, up to 4096 times smaller than the values, is a normal f16
    fc.property(fc.integer(), fc.double({ min: 0.25, max: 1e3, noNaN: true }), (seed, size) => {
      const normal = normals(seed)
      const values = Float32Array.from({ length: block * 2 }, () => normal() * size)
      const largest = values.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
      const back = decode(type, quantize(type, values))
      const worst = back.reduce((most, v, i) => Math.max(most, Math.abs(v - values[i]!)), 0)
      expect(worst).toBeLessThanOrEqual((largest * 3) / 2 ** bits)
    }),
    { numRuns: 50 },
  )
})

test('zeros stay zeros', () => {
  for (const type of types) {
    const zeros = new Float32Array(quantFormats[type].block)
    expect(decode(type, quantize(type, zeros)).every((value) => value === 0)).toBe(true)
  }
})

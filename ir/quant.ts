// The one table of block-quantised weight formats (layouts as in GGUF). `decode` is the reference decoder that every
// kernel's decoder is tested against.
// Source of the layouts: the GGUF specification and ggml's block structures.
//
// A value is scale · q, or scale · q + minimum, with q a small integer. Scale · q is exact in f32 for every format but
// q6_k, and the rest is one addition: a decoder in f32 that rounds once agrees with this one bit for bit.
import { f16ToNumber } from './half.ts'

interface QuantFormat {
  /** elements of a row that share a block */
  readonly block: number
  /** bytes of a block in memory, little-endian */
  readonly bytes: number
  /** type id in a GGUF file */
  readonly ggufId: number
  /** layout, field by field */
  readonly doc: string
  /** decodes the block at byte `at` of `data` into `out[to .. to + block)` */
  readonly decode: (data: DataView, at: number, out: Float32Array | Float64Array, to: number) => void
}

export type QuantType = 'q8_0' | 'q4_0' | 'q4_1' | 'q5_0' | 'q5_1' | 'q4_k' | 'q5_k' | 'q6_k'

export const quantFormats: Record<QuantType, QuantFormat> = {
  q8_0: {
    block: 32,
    bytes: 34,
    ggufId: 8,
    doc: 'f16 d · i8 q[32]; x = d · q',
    decode(data, at, out, to) {
      const d = half(data, at)
      for (let i = 0; i < 32; i++) out[to + i] = d * data.getInt8(at + 2 + i)
    },
  },
  q4_0: {
    block: 32,
    bytes: 18,
    ggufId: 2,
    doc: 'f16 d · u8 qs[16]; x[i] = d · (low nibble of qs[i] - 8), x[i+16] = d · (high nibble of qs[i] - 8)',
    decode(data, at, out, to) {
      const d = half(data, at)
      for (let i = 0; i < 16; i++) {
        const pair = data.getUint8(at + 2 + i)
        out[to + i] = d * ((pair & 15) - 8)
        out[to + i + 16] = d * ((pair >> 4) - 8)
      }
    },
  },
  q4_1: {
    block: 32,
    bytes: 20,
    ggufId: 3,
    doc: 'f16 d · f16 m · u8 qs[16], nibbles as in q4_0; x = d · q + m',
    decode(data, at, out, to) {
      const d = half(data, at)
      const m = half(data, at + 2)
      for (let i = 0; i < 16; i++) {
        const pair = data.getUint8(at + 4 + i)
        out[to + i] = d * (pair & 15) + m
        out[to + i + 16] = d * (pair >> 4) + m
      }
    },
  },
  q5_0: {
    block: 32,
    bytes: 22,
    ggufId: 6,
    doc: 'f16 d · u32 qh · u8 qs[16]; q[i] = nibble as in q4_0, plus 16 where bit i of qh is set; x = d · (q - 16)',
    decode(data, at, out, to) {
      const d = half(data, at)
      const high = data.getUint32(at + 2, true)
      for (let i = 0; i < 16; i++) {
        const pair = data.getUint8(at + 6 + i)
        out[to + i] = d * (((pair & 15) | (((high >>> i) & 1) << 4)) - 16)
        out[to + i + 16] = d * (((pair >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16)
      }
    },
  },
  q5_1: {
    block: 32,
    bytes: 24,
    ggufId: 7,
    doc: 'f16 d · f16 m · u32 qh · u8 qs[16], bits as in q5_0; x = d · q + m',
    decode(data, at, out, to) {
      const d = half(data, at)
      const m = half(data, at + 2)
      const high = data.getUint32(at + 4, true)
      for (let i = 0; i < 16; i++) {
        const pair = data.getUint8(at + 8 + i)
        out[to + i] = d * ((pair & 15) | (((high >>> i) & 1) << 4)) + m
        out[to + i + 16] = d * ((pair >> 4) | (((high >>> (i + 16)) & 1) << 4)) + m
      }
    },
  },
  q4_k: {
    block: 256,
    bytes: 144,
    ggufId: 12,
    doc:
      'f16 d · f16 dmin · u8 scales[12] · u8 qs[128]; 8 groups of 32 with a 6-bit scale s and minimum m (see ' +
      'groupScale); groups 2j and 2j+1 are the low and high nibbles of qs[32j .. 32j+32); x = d · s · q - dmin · m',
    decode(data, at, out, to) {
      for (let group = 0; group < 8; group++) {
        const { step, least } = groupScale(data, at, group)
        const shift = (group & 1) * 4
        const low = at + 16 + (group >> 1) * 32
        for (let i = 0; i < 32; i++) out[to + group * 32 + i] = step * ((data.getUint8(low + i) >> shift) & 15) - least
      }
    },
  },
  q5_k: {
    block: 256,
    bytes: 176,
    ggufId: 13,
    doc:
      'f16 d · f16 dmin · u8 scales[12] · u8 qh[32] · u8 qs[128]; as q4_k, and q of element i of group g gains 16 ' +
      'where bit g of qh[i] is set',
    decode(data, at, out, to) {
      for (let group = 0; group < 8; group++) {
        const { step, least } = groupScale(data, at, group)
        const shift = (group & 1) * 4
        const low = at + 48 + (group >> 1) * 32
        for (let i = 0; i < 32; i++) {
          const high = (data.getUint8(at + 16 + i) >> group) & 1
          out[to + group * 32 + i] = step * (((data.getUint8(low + i) >> shift) & 15) | (high << 4)) - least
        }
      }
    },
  },
  q6_k: {
    block: 256,
    bytes: 210,
    ggufId: 14,
    doc:
      'u8 ql[128] · u8 qh[64] · i8 scales[16] · f16 d; halves of 128 elements, each 4 groups of 32: element i of group ' +
      'g in half h has its low 4 bits in nibble g>>1 of ql[64h + 32(g&1) + i], its high 2 bits in bits 2g of ' +
      'qh[32h + i], its scale in scales[8h + 2g + (i>>4)]; x = d · scale · (q - 32)',
    decode(data, at, out, to) {
      const d = half(data, at + 208)
      for (let part = 0; part < 2; part++) {
        for (let group = 0; group < 4; group++) {
          const low = at + part * 64 + (group & 1) * 32
          const shift = (group >> 1) * 4
          const high = at + 128 + part * 32
          for (let i = 0; i < 32; i++) {
            const scale = data.getInt8(at + 192 + part * 8 + group * 2 + (i >> 4))
            const top = (data.getUint8(high + i) >> (group * 2)) & 3
            const q = ((data.getUint8(low + i) >> shift) & 15) | (top << 4)
            out[to + part * 128 + group * 32 + i] = d * scale * (q - 32)
          }
        }
      }
    },
  },
}

/** Decodes `elements` consecutive elements (a whole number of blocks) from byte `at` of `data`. */
export function dequantize(
  type: QuantType,
  data: DataView,
  at: number,
  elements: number,
  out: Float32Array,
  to = 0,
): void {
  const { block, bytes, decode } = quantFormats[type]
  for (let done = 0; done < elements; done += block) decode(data, at + (done / block) * bytes, out, to + done)
}

const half = (data: DataView, at: number): number => f16ToNumber(data.getUint16(at, true))

/**
 * Scale and minimum of one of the 8 groups of a q4_k or q5_k block. The 12 bytes after d and dmin hold 6 bits each:
 * bytes 0..3 the scales of groups 0..3, bytes 4..7 their minima, bytes 8..11 the low nibbles of groups 4..7 (scale
 * low, minimum high), whose top two bits are the top two bits of bytes 0..3 (scales) and 4..7 (minima).
 */
function groupScale(data: DataView, at: number, group: number): { step: number; least: number } {
  const d = half(data, at)
  const dmin = half(data, at + 2)
  const scales = at + 4
  if (group < 4) {
    return { step: d * (data.getUint8(scales + group) & 63), least: dmin * (data.getUint8(scales + 4 + group) & 63) }
  }
  const low = data.getUint8(scales + 4 + group)
  const scale = (low & 15) | ((data.getUint8(scales + group - 4) >> 6) << 4)
  const minimum = (low >> 4) | ((data.getUint8(scales + group) >> 6) << 4)
  return { step: d * scale, least: dmin * minimum }
}

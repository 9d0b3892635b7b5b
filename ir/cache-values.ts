// What a KV cache keeps of a row of values: references of ops that append round as kernels do, where 8 bits are kept. (16-bit
// caches are left to the tolerance of kernels, as all 16-bit values are.)
import { f8ToNumber, numberToF8 } from './f8.ts'
import { f16ToNumber, numberToF16 } from './half.ts'
import type { HostData } from './host-tensor.ts'
import type { Dtype } from './type.ts'

/** The f16 step and the 32 codes of a q8_0 block: step = max |x| / 127, a code the nearest whole number of steps. */
export function q8Block(values: ArrayLike<number>, from: number): { step: number; codes: number[] } {
  let most = 0
  for (let i = 0; i < 32; i++) most = Math.max(most, Math.abs(values[from + i]!))
  const step = numberToF16(most / 127)
  const inverse = step ? 1 / f16ToNumber(step) : 0
  const codes = Array.from({ length: 32 }, (_, i) => {
    const code = values[from + i]! * inverse
    const down = Math.floor(code)
    const up = code - down > 0.5 || (code - down === 0.5 && down % 2 !== 0)
    return Math.max(-127, Math.min(127, up ? down + 1 : down))
  })
  return { step, codes }
}

/** `values` as they are read back from a cache of `dtype`; whole blocks. */
export function asKept(dtype: Dtype, values: HostData): HostData {
  if (dtype === 'f8_e4m3') return values.map((v) => f8ToNumber(numberToF8(v)))
  if (dtype !== 'q8_0') return values
  const kept = values.slice()
  for (let at = 0; at < values.length; at += 32) {
    const { step, codes } = q8Block(values, at)
    codes.forEach((code, i) => {
      kept[at + i] = f16ToNumber(step) * code
    })
  }
  return kept
}

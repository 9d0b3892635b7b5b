// What a step must move and compute, from its program: the numerators of MBU and TFLOP/s.
import { evaluate } from '../../codegen/extent.ts'
import { buffersOf, type Program } from '../../codegen/program.ts'
import { opNamed } from '../../ir/op.ts'
import type { Bindings } from '../../ir/type.ts'

/** Bytes of the weights that a step reads whole; a table that rows are looked up in is none of them. */
export function weightBytesRead(program: Program): number {
  const read = new Set(
    program.calls.flatMap(({ op, args }) =>
      args.flatMap((arg) => (arg.kind === 'buffer' && !opNamed(op).gathers.includes(arg.name) ? [arg.buffer] : [])),
    ),
  )
  return buffersOf(program, 'weight').reduce((sum, { id, bytes }) => sum + (read.has(id) ? bytes : 0), 0)
}

/** Bytes of keys and values that one token of a sequence has in the caches. */
export function kvBytesPerToken(program: Program, pages: number, pageSize: number): number {
  const caches = buffersOf(program, 'state').filter(({ id }) => id.includes('cache'))
  return caches.reduce((sum, { bytes }) => sum + bytes, 0) / (pages * pageSize)
}

/** What costs depend on: `tokens` tokens of `requests` sequences, of which each sees `length`, in whole pages. */
export const stepBindings = (tokens: number, requests: number, length: number, pageSize: number): Bindings => ({
  T: tokens,
  R: requests,
  L: length,
  M: Math.ceil(length / pageSize),
})

/** Arithmetic of a step of `tokens` tokens behind `position` others. */
export function flopsOf(program: Program, tokens: number, position: number, pageSize: number): number {
  const bindings: Bindings = { ...program.limits, ...stepBindings(tokens, 1, position + tokens, pageSize) }
  return program.calls.reduce((sum, { cost }) => sum + evaluate(cost.flops, bindings), 0)
}

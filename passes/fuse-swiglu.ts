import { match, P } from 'ts-pattern'
import { swiglu } from '../ir/ops/index.ts'
import { rewritePass } from './rewrite.ts'

/** mul(silu(gate), up)  ⇒  swiglu(gate, up), in either order of the factors */
export const fuseSwiglu = rewritePass({
  name: 'fuse-swiglu',
  doc: 'Saves one kernel, one write and one read of a [T, F] activation.',
  numerics: 'rounding', // silu(gate) is no longer rounded to its dtype
  root: 'mul',
  rule: (mul) =>
    match(mul.in)
      .with({ a: { op: 'silu', uses: 1, in: { x: P.select('gate') } }, b: P.select('up') }, ({ gate, up }) =>
        fused(gate, up),
      )
      .with({ a: P.select('up'), b: { op: 'silu', uses: 1, in: { x: P.select('gate') } } }, ({ gate, up }) =>
        fused(gate, up),
      )
      .otherwise(() => null),
})

type Handle = Parameters<typeof swiglu>[0]['gate']

/** A broadcast factor is not SwiGLU. */
const fused = (gate: Handle, up: Handle) =>
  String(gate.type.shape) === String(up.type.shape) && gate.type.dtype === up.type.dtype ? swiglu({ gate, up }) : null

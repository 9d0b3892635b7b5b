import { match, P } from 'ts-pattern'
import { swiglu } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { alike, rewritePass } from './rewrite.ts'

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

/** A factor that is repeated over rows is not SwiGLU. */
const fused = (gate: Value, up: Value) => (alike(gate, up) ? swiglu({ gate, up }) : null)

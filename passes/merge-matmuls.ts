// Merging matmuls that read the same activations: their weights are concatenated when they are loaded, and the
// results are views of one.
import { isMatching } from 'ts-pattern'
import type { Node } from '../ir/graph.ts'
import { staticDim } from '../ir/op.ts'
import { concatRows, matmul, slice } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { isLoaded } from './rewrite.ts'
import type { Rewriter } from './rewriter.ts'

/** The matmuls that read `x`, in order. */
export const matmulsOf = (rewriter: Rewriter, x: Value): Node[] =>
  rewriter
    .readersOf(x.id)
    .filter((node) => node.op === 'matmul' && node.in.x === x.id)
    .sort((a, b) => rewriter.positionOf(a.id) - rewriter.positionOf(b.id))

/** Can these be one matmul? Weights of one dtype and width, all with a bias or none, one dtype of results. */
export function canMerge(parts: readonly Value[]): boolean {
  const [first] = parts
  return (
    first !== undefined &&
    parts.length >= 2 &&
    parts.length <= 3 &&
    parts.every(
      (part) =>
        isMatching({ op: 'matmul', in: { w: { uses: 1 } } }, part) &&
        isLoaded(part.in.w) &&
        part.in.w!.type.dtype === first.in.w!.type.dtype &&
        part.type.dtype === first.type.dtype &&
        !part.in.bias === !first.in.bias &&
        (!part.in.bias || (isLoaded(part.in.bias) && part.in.bias.type.dtype === first.in.bias!.type.dtype)),
    )
  )
}

/** One matmul in place of `parts`: its result, and the columns that each part is. */
export function mergeMatmuls(parts: readonly Value[], label: string | undefined): { whole: Value; columns: Value[] } {
  const stack = (values: Value[]) => concatRows({ a: values[0]!, b: values[1]!, c: values[2] }, {}, label)
  const w = stack(parts.map((part) => part.in.w!))
  const bias = parts[0]!.in.bias ? stack(parts.map((part) => part.in.bias!)) : undefined
  const dtype = parts[0]!.attrs.dtype as 'f32' | undefined
  const whole = matmul({ x: parts[0]!.in.x!, w, bias }, { dtype }, label)
  let from = 0
  const columns = parts.map((part) => {
    const to = from + staticDim(part.type, -1)
    const view = slice({ x: whole }, { from, to }, part.label)
    from = to
    return view
  })
  return { whole, columns }
}

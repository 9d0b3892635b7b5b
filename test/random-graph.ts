// Random well-typed graphs that run: elementwise ops, norms, matmuls, softmax, views, gathers, gated feed-forwards and
// attention with a paged cache, on top of each other. A graph follows from a list of numbers, so that fast-check can
// shrink it.

import { GraphBuilder } from '../ir/builder.ts'
import type { Graph } from '../ir/graph.ts'
import {
  add,
  argmax,
  causalMask,
  contiguous,
  gatherRows,
  gelu,
  kvAppend,
  kvRead,
  layerNorm,
  matmul,
  mul,
  pvMatmul,
  qkMatmul,
  repeatKv,
  reshape,
  rmsNorm,
  rope,
  scale,
  sigmoid,
  silu,
  slice,
  softcap,
  softmax,
  tanh,
  topk,
  transpose,
} from '../ir/ops/index.ts'
import { type Dtype, type FloatType, tensor } from '../ir/type.ts'
import type { Value } from '../ir/value.ts'
import fc from './fast-check.ts'

export interface RandomGraphOptions {
  /** dtype of activations; default f32 */
  readonly activations?: FloatType
  readonly weights?: readonly Dtype[]
  readonly kvDtype?: FloatType
  /** most ops or blocks; default 14 */
  readonly size?: number
}

/** One step of building: which move, and what it picks. */
type Choice = readonly [move: number, a: number, b: number]

export const randomGraph = (options: RandomGraphOptions = {}): fc.Arbitrary<Graph> =>
  fc
    .array(fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000)), { minLength: 1, maxLength: options.size ?? 14 })
    .map((choices) => buildGraph(choices, options))

const [H, Hkv, C, page] = [4, 2, 8, 4]
const D = H * C

export function buildGraph(choices: readonly Choice[], options: RandomGraphOptions = {}): Graph {
  const { activations = 'f32', weights = ['f32'], kvDtype = 'f32' } = options
  const graph = new GraphBuilder('random')
  /** float activations whose first dim is T, or T somewhere */
  const pool: Value[] = [
    graph.input('x', tensor(activations, ['T', D])),
    graph.input('z', tensor(activations, ['T', D])),
  ]
  const read = new Set<string>()
  let count = 0
  const pick = <V>(list: readonly V[], n: number): V => list[n % list.length]!
  const choose = (n: number, fits: (value: Value) => boolean): Value | undefined => {
    const fitting = pool.filter(fits)
    return fitting.length ? pick(fitting.slice(-4), n) : undefined
  }
  const use = (value: Value): Value => {
    read.add(value.id)
    return value
  }
  const make = (value: Value): void => {
    pool.push(value)
  }
  const weight = (shape: number[], n: number): Value => {
    const fitting = weights.filter((dtype) => dtype.startsWith('f') || dtype === 'bf16' || shape.at(-1)! % 32 === 0)
    return graph.weight(`w${count++}`, shape.length > 1 ? pick(fitting, n) : 'f32', shape)
  }
  const rank = (n: number) => (value: Value) => value.type.shape.length === n
  const isRows = (value: Value) => rank(2)(value) && value.type.shape[0] === 'T'
  const width = (value: Value) => value.type.shape.at(-1) as number
  const project = (x: Value, to: number, n: number, bias = false) =>
    matmul({ x, w: weight([to, width(x)], n), bias: bias ? weight([to], n) : undefined })

  const attend = (x: Value, n: number): Value => {
    const name = count++
    const positions = indices('positions', 'T')
    const where = { positions, seq: indices('seq', 'T'), page_table: indices('page_table', 'R', 'M') }
    const heads = (to: number) => reshape({ x: project(x, to * C, n, n % 3 === 0) }, { shape: ['T', to, C] })
    const turn = (value: Value) =>
      rope(
        { x: value, positions },
        { theta: 100, dims: n % 2 ? C : C / 2, style: n % 5 ? 'half-split' : 'interleaved' },
      )
    const [q, k, v] = [turn(heads(H)), turn(heads(Hkv)), heads(Hkv)]
    const append = (kind: string, value: Value) => {
      const cache = kvAppend({ cache: graph.state(`${kind}${name}`, kvDtype, ['P', Hkv, page, C]), x: value, ...where })
      graph.output(`${kind}${name}`, cache)
      return repeatKv({ x: kvRead({ cache, page_table: where.page_table }) }, { groups: H / Hkv })
    }
    const [keys, values] = [append('k', k), append('v', v)]
    const scores = scale({ x: qkMatmul({ q, k: keys, seq: where.seq }) }, { by: C ** -0.5 })
    const p = softmax({ x: causalMask({ x: scores, positions }, { window: n % 4 === 0 ? 3 : undefined }) })
    const mixed = pvMatmul({ p, v: values, seq: where.seq }, { dtype: activations })
    return reshape({ x: mixed }, { shape: ['T', D] })
  }
  const given = new Map<string, Value>()
  const indices = (name: string, ...shape: ('T' | 'R' | 'M')[]): Value => {
    if (!given.has(name)) given.set(name, graph.input(name, tensor('i32', shape)))
    return given.get(name)!
  }

  const moves: readonly ((a: number, b: number) => void)[] = [
    (a, b) => {
      const x = use(choose(a, () => true)!)
      const unary = [
        () => silu({ x }),
        () => gelu({ x }, { approximate: b % 2 ? 'none' : 'tanh' }),
        () => sigmoid({ x }),
        () => tanh({ x }),
        () => softcap({ x }, { cap: 1 + (b % 5) }),
        () => scale({ x }, { by: [1, 0.5, -1.25, 2][b % 4]! }),
      ]
      make(pick(unary, b)())
    },
    (a, b) => {
      const left = choose(a, () => true)!
      const right = choose(b, (value) => String(value.type.shape) === String(left.type.shape))!
      make((a + b) % 2 ? add({ a: use(left), b: use(right) }) : mul({ a: use(left), b: use(right) }))
    },
    (a, b) => {
      const x = use(choose(a, () => true)!)
      make((b % 2 ? add : mul)({ a: x, b: weight([width(x)], b) }))
    },
    (a, b) => {
      const x = use(choose(a, () => true)!)
      const w = weight([width(x)], b)
      make(b % 3 ? rmsNorm({ x, w }, { eps: 1e-5 }) : layerNorm({ x, w, bias: weight([width(x)], b) }, { eps: 1e-5 }))
    },
    (a) => make(softmax({ x: use(choose(a, () => true)!) })),
    (a, b) => make(project(use(choose(a, isRows)!), pick([D, 2 * D, 24], b), b, b % 4 === 0)),
    (a, b) => {
      const x = choose(a, (value) => isRows(value) && width(value) === D)!
      make(add({ a: x, b: project(use(choose(b, isRows)!), D, b) }))
      use(x)
    },
    (a, b) => {
      const x = use(choose(a, isRows)!)
      const [gate, up] = [project(x, 24, b), project(x, 24, b)]
      make(b % 2 ? mul({ a: silu({ x: gate }), b: up }) : mul({ a: up, b: silu({ x: gate }) }))
    },
    (a) => {
      const x = use(choose(a, (value) => isRows(value) && width(value) % C === 0)!)
      make(reshape({ x }, { shape: ['T', width(x) / C, C] }))
    },
    (a) => {
      const x = choose(a, (value) => rank(3)(value) && value.type.shape[0] === 'T')
      if (x) make(reshape({ x: use(x) }, { shape: ['T', (x.type.shape[1] as number) * width(x)] }))
    },
    (a, b) => {
      const x = use(choose(a, (value) => width(value) % 2 === 0)!)
      const half = width(x) / 2
      make(slice({ x }, b % 2 ? { from: 0, to: half } : { from: half, to: 2 * half }))
    },
    (a, b) => {
      const x = choose(a, rank(3))
      if (x)
        make(
          transpose(
            { x: use(x) },
            {
              perm: pick(
                [
                  [1, 0, 2],
                  [0, 2, 1],
                  [0, 1, 2],
                ],
                b,
              ),
            },
          ),
        )
    },
    (a) => make(contiguous({ x: use(choose(a, () => true)!) })),
    (a) => {
      const rows = gatherRows({ x: use(choose(a, isRows)!), rows: indices('rows', 'R') })
      graph.output(`rows${count++}`, rows)
    },
    (a, b) => {
      const x = use(choose(a, isRows)!)
      if (b % 2) graph.output(`best${count++}`, argmax({ x }))
      else {
        const { values, indices: columns } = topk({ x }, { k: 1 + (b % 3) })
        graph.output(`top${count}`, values)
        graph.output(`columns${count++}`, columns)
      }
    },
    (a, b) => make(attend(use(choose(a, isRows)!), b)),
  ]
  for (const [move, a, b] of choices) pick(moves, move)(a, b)
  for (const [i, value] of pool.entries()) if (i > 1 && !read.has(value.id)) graph.output(`y${i}`, value)
  if (pool.length === 2) graph.output('y', tanh({ x: pool[0]! }))
  return graph.build()
}

import { describe, expect, test } from 'vitest'
import { GraphBuilder } from '../../ir/builder.ts'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { type HostTensor, hostTensor } from '../../ir/host-tensor.ts'
import { inferTypes, parseAttrs } from '../../ir/infer.ts'
import { allOps, opNamed } from '../../ir/op.ts'
import { noToken } from '../../ir/ops/model/no-token.ts'
import { parseGraph } from '../../ir/parse.ts'
import { printGraph } from '../../ir/print.ts'
import { executeReference } from '../../ir/reference.ts'
import { bindShape, isCache, isQuant, printType, type TensorType } from '../../ir/type.ts'
import { verify } from '../../ir/verify.ts'
import { bindings, type OpCase, opCases, operand } from './op-cases.ts'

/** The type that a text says. */
const typeOf = (text: string): TensorType => parseGraph(`graph @t(%x: ${text}) { return %x }`).types['%x']!
const typesOf = (types: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(types).map(([name, text]) => [name, typeOf(text)]))

function apply(one: OpCase): HostTensor[] {
  const builder = new GraphBuilder(one.op)
  const types = typesOf(one.types)
  const op = opNamed(one.op)
  const isLoad = op.traits.includes('load')
  const handles = Object.fromEntries(
    Object.entries(types).map(([name, type]) => [
      name,
      isLoad || isQuant(type.dtype) ? builder.weight(name, type.dtype, type.shape) : builder.input(name, type),
    ]),
  )
  const results = builder.append(op, handles, { ...one.attrs })
  for (const [i, result] of results.entries()) builder.output(op.results[i]!, result)
  const graph = verify(builder.build())
  expect(printGraph(parseGraph(printGraph(graph)))).toBe(printGraph(graph))
  const tensor = (name: string) =>
    operand(types[name]!.dtype, bindShape(types[name]!.shape, bindings), one.values?.[name], name.length)
  const inputs = Object.fromEntries(graph.inputs.map((id) => [id.slice(1), tensor(id.slice(1))]))
  return Object.values(executeReference(graph, { inputs, weight: tensor, bindings }))
}

test('every op has a case', () =>
  expect(
    allOps()
      .map((op) => op.name)
      .filter((name) => !opCases.some(({ op }) => op === name)),
  ).toEqual([]))

test.each(opCases.map((one, i): [string, OpCase] => [`${i} ${one.op}(${Object.values(one.types).join(', ')})`, one]))(
  '%s: infer gives the shape that the reference returns',
  (_, one) => {
    const expected = [one.gives].flat()
    const op = opNamed(one.op)
    expect(inferTypes(op, typesOf(one.types), parseAttrs(op, { ...one.attrs })).map(printType)).toEqual(expected)
    for (const [i, result] of apply(one).entries()) {
      const { dtype, shape } = typeOf(expected[i]!)
      expect(result.shape).toEqual(bindShape(shape, bindings))
      expect(result.dtype).toBe(dtype)
      expect(result.data.length).toBe(result.shape.reduce((a, b) => a * b, 1))
      expect(result.data).toBeInstanceOf(isCache(dtype) || isQuant(dtype) ? Float32Array : Int32Array)
      expect([...result.data].every((v) => !Number.isNaN(v))).toBe(true)
    }
  },
)

describe('what ops refuse', () => {
  const refusals: [string, Record<string, string>, Record<string, unknown>, string, string][] = [
    ['silu', {}, {}, 'op-operand', 'silu needs an operand `x`'],
    ['silu', { x: 'f32[4]', z: 'f32[4]' }, {}, 'op-operand', 'silu has no operand `z`'],
    ['silu', { x: 'i32[4]' }, {}, 'op-type', 'x must be f32, f16 or bf16, is i32[4]'],
    ['silu', { x: 'f32[4]' }, { by: 1 }, 'op-attribute', 'silu does not take these attributes'],
    ['scale', { x: 'f32[4]' }, {}, 'op-attribute', 'scale does not take these attributes'],
    ['scale', { x: 'f32[4]' }, { by: Number.POSITIVE_INFINITY }, 'op-attribute', 'scale does not take'],
    ['add', { a: 'f32[4]', b: 'f32[T, 4]' }, {}, 'op-type', 'b must have the shape of a or of its last dims'],
    ['add', { a: 'f32[T, 4]', b: 'f32[T, 1]' }, {}, 'op-type', 'b must have the shape of a or of its last dims'],
    ['matmul', { x: 'f32[T, 4]', w: 'f32[8, 5]' }, {}, 'op-type', 'operands disagree on K'],
    ['matmul', { x: 'f32[T, 4]', w: 'i32[8, 4]' }, {}, 'op-type', 'w must be a float or quantised type'],
    ['matmul', { x: 'f32[R, T, 4]', w: 'f32[8, 4]' }, {}, 'op-type', 'x must have 2 dims'],
    ['matmul', { x: 'f32[T, 4]', w: 'f32[8, 4]', bias: 'f32[4]' }, {}, 'op-type', 'operands disagree on N'],
    ['matmul', { x: 'f32[T, 4]', w: 'f32[8, 4]' }, { dtype: 'i32' }, 'op-attribute', 'matmul does not take'],
    ['embed', { ids: 'f32[T]', table: 'f32[8, 4]' }, {}, 'op-type', 'ids must be i32'],
    ['embed', { ids: 'i32[T]', table: 'i32[8, 4]' }, {}, 'op-type', 'table must be a float or quantised type'],
    ['gather_rows', { x: 'q8_0[4, 32]', rows: 'i32[R]' }, {}, 'op-type', 'x must not be quantised'],
    ['gather_rows', { x: 'f32[]', rows: 'i32[R]' }, {}, 'op-type', 'axis 0 is outside f32[]'],
    ['concat_rows', { a: 'f16[4, 32]', b: 'f32[4, 32]' }, {}, 'op-type', 'parts must agree but for their rows'],
    ['concat_rows', { a: 'f16[4, 32]', b: 'f16[T, 32]' }, {}, 'op-type', 'must be a number, is T'],
    ['contiguous', { x: 'i32[4]' }, { dtype: 'f32' }, 'op-type', 'only floats change their dtype'],
    ['rms_norm', { x: 'f32[T, 4]', w: 'f32[5]' }, { eps: 1e-5 }, 'op-type', 'operands disagree on D'],
    ['rms_norm', { x: 'f32[T, 4]', w: 'f32[4]' }, { eps: 0 }, 'op-attribute', 'rms_norm does not take'],
    [
      'rope',
      { x: 'f32[T, 2, 4]', positions: 'i32[T]' },
      { theta: 1, dims: 6, style: 'half-split' },
      'op-type',
      'dims (6) must not exceed the head size (4)',
    ],
    [
      'rope',
      { x: 'f32[T, 2, 4]', positions: 'i32[T]' },
      { theta: 1, dims: 3, style: 'half-split' },
      'op-attribute',
      'rope does not take',
    ],
    [
      'rope',
      { x: 'f32[T, 2, 4]', positions: 'i32[R]' },
      { theta: 1, dims: 4, style: 'half-split' },
      'op-type',
      'operands disagree on T',
    ],
    [
      'rope',
      { x: 'f32[T, 2, 4]', positions: 'i32[T]', factors: 'f32[3]' },
      { theta: 1, dims: 4, style: 'half-split' },
      'op-type',
      'factors must have dims/2 = 2 values, has 3',
    ],
    [
      'kv_append',
      { cache: 'f32[P, 2, 4, 3]', x: 'f32[T, 2, 3]', positions: 'i32[T]', seq: 'i32[T]', page_table: 'i32[R, M]' },
      {},
      'op-type',
      'cache must be a state',
    ],
    [
      'kv_append',
      {
        cache: 'state i32[P, 2, 4, 3]',
        x: 'f32[T, 2, 3]',
        positions: 'i32[T]',
        seq: 'i32[T]',
        page_table: 'i32[R, M]',
      },
      {},
      'op-type',
      'cannot hold f32[T, 2, 3]',
    ],
    [
      'kv_append',
      { cache: 'state u8[P, 2, 4, 3]', x: 'f32[T, 2, 3]', positions: 'i32[T]', seq: 'i32[T]', page_table: 'i32[R, M]' },
      {},
      'op-type',
      'cannot hold f32[T, 2, 3]',
    ],
    [
      'kv_read',
      { cache: 'state i32[P, 1, 4, 1]', page_table: 'i32[R, M]' },
      {},
      'op-type',
      'cache must be f32, f16, bf16, f8_e4m3 or q8_0',
    ],
    ['reshape', { x: 'f32[T, 4]' }, { shape: ['R', 4] }, 'op-type', 'f32[T, 4] cannot be reshaped to [R, 4]'],
    ['reshape', { x: 'f32[T, 4]' }, { shape: ['T', 3] }, 'op-type', 'f32[T, 4] cannot be reshaped to [T, 3]'],
    [
      'reshape',
      { x: 'state f32[4, 4]' },
      { shape: [16] },
      'op-type',
      'x of reshape must be neither a state nor quantised',
    ],
    ['slice', { x: 'q8_0[4, 64]' }, { from: 0, to: 32 }, 'op-type', 'x of slice must be neither a state nor quantised'],
    ['slice', { x: 'f32[T, 4]' }, { from: 2, to: 5 }, 'op-type', 'slice 2…5 is outside 0…4'],
    ['slice', { x: 'f32[T, 4]' }, { from: 2, to: 2 }, 'op-type', 'slice 2…2 is outside 0…4'],
    ['transpose', { x: 'f32[T, 4]' }, { perm: [0, 0] }, 'op-type', 'perm [0, 0] is not a permutation'],
    ['transpose', { x: 'f32[T, 4]' }, { perm: [1] }, 'op-type', 'perm [1] is not a permutation'],
    ['softmax', { x: 'f32[]' }, {}, 'op-type', 'axis -1 is outside f32[]'],
    ['topk', { x: 'f32[R, 4]' }, { k: 5 }, 'op-type', 'k (5) must not exceed the 4 columns'],
    ['argmax', { x: 'f32[4]' }, {}, 'op-type', 'x must have 2 dims'],
    ['increment', { x: 'f32[4]' }, {}, 'op-type', 'x must be i32'],
    [
      'sample',
      {
        logits: 'f32[R, 4]',
        temperature: 'f32[R]',
        top_k: 'f32[R]',
        top_p: 'f32[R]',
        min_p: 'f32[R]',
        seed: 'u32[R]',
        positions: 'i32[R]',
      },
      {},
      'op-type',
      'top_k must be i32',
    ],
    ['swiglu', { gate: 'f32[T, 4]', up: 'f32[T, 5]' }, {}, 'op-type', 'swiglu: b must have the shape of a'],
    ['matmul_swiglu', { x: 'f32[T, 4]', w: 'f32[7, 4]' }, {}, 'op-type', 'matmul_swiglu: slice does not take'],
    [
      'attention',
      {
        q: 'f32[T, 3, 4]',
        k_cache: 'state f32[P, 2, 4, 4]',
        v_cache: 'state f32[P, 2, 4, 4]',
        positions: 'i32[T]',
        seq: 'i32[T]',
        page_table: 'i32[R, M]',
      },
      { scale: 1 },
      'op-type',
      'attention: repeat_kv does not take',
    ],
  ]
  test.each(refusals)('%s %o %o: %s', (name, types, attrs, code, message) => {
    const op = opNamed(name)
    const thrown = (() => {
      try {
        inferTypes(op, typesOf(types), parseAttrs(op, attrs))
      } catch (error) {
        return error
      }
    })()
    expect(thrown).toBeInstanceOf(Diagnostic)
    expect((thrown as Diagnostic).code).toBe(code)
    expect((thrown as Diagnostic).summary).toContain(message)
  })
})

describe('edge values', () => {
  const { NaN: nan, POSITIVE_INFINITY: inf } = Number
  const unary = (name: string, values: number[], attrs: Record<string, unknown> = {}) => {
    const builder = new GraphBuilder()
    const x = builder.input('x', { dtype: 'f32', shape: [values.length] })
    builder.output('y', builder.append(opNamed(name), { x }, attrs)[0]!)
    const run = { inputs: { x: hostTensor('f32', [values.length], values) }, weight: () => expect.fail(), bindings }
    return [...executeReference(builder.build(), run).y!.data]
  }
  test.each<[string, Record<string, unknown>, number[], number[]]>([
    ['sigmoid', {}, [-inf, 0, inf, nan], [0, 0.5, 1, nan]],
    ['tanh', {}, [-inf, 0, inf, nan], [-1, 0, 1, nan]],
    ['silu', {}, [0, 100, inf, nan], [0, 100, inf, nan]],
    ['gelu', {}, [0, 100, inf, nan], [0, 100, inf, nan]],
    ['gelu', { approximate: 'tanh' }, [0, 100, inf, nan], [0, 100, inf, nan]],
    ['softcap', { cap: 3 }, [-inf, 0, inf, nan], [-3, 0, 3, nan]],
    ['scale', { by: 0 }, [1, inf, nan], [0, nan, nan]],
    ['softmax', {}, [-inf, 0, -inf], [0, 1, 0]],
    ['softmax', {}, [-inf, -inf], [nan, nan]],
    ['softmax', {}, [1, nan], [nan, nan]],
    ['softmax', {}, [1e30, 1e30], [0.5, 0.5]],
    ['softmax', {}, [7], [1]],
    ['softmax', {}, [], []],
    ['silu', {}, [], []],
  ])('%s %o %o → %o', (name, attrs, values, expected) => expect(unary(name, values, attrs)).toEqual(expected))

  test('gelu agrees with the normal distribution to 1e-7 near 0 and in the tails', () => {
    const values = [-8, -3, -0.5, 0.5, 1, 2.4, 3.6, 6]
    const expected = [
      -4.976768459e-15, -0.004049694095, -0.1542687694, 0.3457312306, 0.8413447461, 2.38032591, 3.599427199,
      5.999999994,
    ]
    for (const [i, y] of unary('gelu', values).entries())
      expect(Math.abs(y - expected[i]!)).toBeLessThan(1e-7 * Math.abs(expected[i]!) + 1e-22)
  })

  const rows = (name: string, values: number[][], attrs: Record<string, unknown> = {}) => {
    const [R, V] = [values.length, values[0]?.length ?? 4]
    const builder = new GraphBuilder()
    const x = builder.input('x', { dtype: 'f32', shape: [R, V] })
    for (const [i, y] of builder.append(opNamed(name), { x }, attrs).entries()) builder.output(`y${i}`, y)
    const run = { inputs: { x: hostTensor('f32', [R, V], values.flat()) }, weight: () => expect.fail() }
    return Object.values(executeReference(builder.build(), run)).map(({ data }) => [...data])
  }
  test('argmax: NaN counts as −∞, of equals the first, no token where nothing is larger', () =>
    expect(
      rows('argmax', [
        [nan, 2, 2],
        [-inf, -inf, -inf],
        [nan, nan, nan],
      ]),
    ).toEqual([[1, noToken, noToken]]))
  test('topk: falling, of equals the lower column first, NaN last', () =>
    expect(rows('topk', [[1, nan, 3, 3, -inf]], { k: 5 })).toEqual([
      [3, 3, 1, nan, -inf],
      [2, 3, 0, 1, 4],
    ]))
  test('no rows', () => expect(rows('argmax', [])).toEqual([[]]))

  test('a masked value may be anything, even NaN', () => {
    const text = `graph @g(%p: f32[1, 1, 2], %v: f32[1, 2, 1, 1], %seq: i32[1]) {
      %0: f32[1, 1, 1] = pv_matmul(%p, %v, %seq) {dtype = "f32"} return y = %0 }`
    const inputs = {
      p: hostTensor('f32', [1, 1, 2], [1, 0]),
      v: hostTensor('f32', [1, 2, 1, 1], [5, nan]),
      seq: hostTensor('i32', [1], [0]),
    }
    expect([...executeReference(parseGraph(text), { inputs, weight: () => expect.fail() }).y!.data]).toEqual([5])
  })

  const indexed = (body: string, inputs: Record<string, HostTensor>) => () =>
    executeReference(parseGraph(body), {
      inputs,
      weight: () => hostTensor('f32', [4, 2], new Float32Array(8)),
    })
  test('an index beyond its table is told, not followed', () => {
    const embed =
      'graph @g(%ids: i32[1]) { @w: f32[4, 2] %0: f32[1, 2] = embed(%ids, @w) {dtype = "f32"} return y = %0 }'
    for (const id of [-1, 4])
      expect(indexed(embed, { ids: hostTensor('i32', [1], [id]) })).toThrow(
        `error[op-index]: token ${id} is outside 0…3`,
      )
    const gather = 'graph @g(%x: f32[2, 3], %rows: i32[1]) { %0: f32[1, 3] = gather_rows(%x, %rows) return y = %0 }'
    const x = hostTensor('f32', [2, 3], new Float32Array(6))
    expect(indexed(gather, { x, rows: hostTensor('i32', [1], [2]) })).toThrow('error[op-index]: row 2 is outside 0…1')
  })
  test('a token without a page is not appended; one beyond its pages is told', () => {
    const body = `graph @g(%c: state f32[2, 1, 2, 1], %x: f32[3, 1, 1], %positions: i32[3], %seq: i32[3], %page_table: i32[1, 2]) {
      %0: state f32[2, 1, 2, 1] = kv_append(%c, %x, %positions, %seq, %page_table) return c = %0 }`
    const append = (positions: number[], seq: number[]) =>
      indexed(body, {
        c: hostTensor('f32', [2, 1, 2, 1], [0, 0, 0, 0]),
        x: hostTensor('f32', [3, 1, 1], [1, 2, 3]),
        positions: hostTensor('i32', [3], positions),
        seq: hostTensor('i32', [3], seq),
        page_table: hostTensor('i32', [1, 2], [1, -1]),
      })
    expect([...append([1, 2, 0], [0, 0, -1])().c!.data]).toEqual([0, 0, 0, 1])
    expect(append([4, 0, 0], [0, 0, 0])).toThrow('error[op-index]: page of position 2 is outside 0…1')
    expect(append([0, 0, 0], [1, 0, 0])).toThrow('error[op-index]: request 1 is outside 0…0')
  })
})

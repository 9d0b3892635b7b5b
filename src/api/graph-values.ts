// What a caller hands to a graph of one's own, checked at the border: values of weights and inputs, symbols and their
// limits. Each Diagnostic names the weight, the input or the symbol.
import { type Fact, fail } from '../../ir/diagnostic.ts'
import type { Graph } from '../../ir/graph.ts'
import { type HostTensor, hostTensor } from '../../ir/host-tensor.ts'
import { nearest } from '../../ir/near-match.ts'
import { opNamed } from '../../ir/op.ts'
import { noToken } from '../../ir/ops/model/no-token.ts'
import { quantFormats } from '../../ir/quant.ts'
import { decodeTensor, encodeValues } from '../../ir/tensor-bytes.ts'
import {
  type Bindings,
  byteSize,
  type Dtype,
  elementCount,
  isCache,
  isQuant,
  printType,
  product,
  rowBytes,
  stepSymbols,
  type TensorType,
} from '../../ir/type.ts'

/** Values of one weight: numbers, or bytes as the weight's dtype lays them out (the only form of quantised weights). */
export type WeightValues = ArrayLike<number> | { readonly bytes: Uint8Array }

/** Typed arrays for inputs and outputs; f16 and bf16 values are given and returned as f32. */
export type Values = Float32Array | Float64Array | Int32Array | Uint32Array | Int8Array | Uint8Array | readonly number[]

const isValues = (values: unknown): values is Values =>
  Array.isArray(values) || (ArrayBuffer.isView(values) && 'length' in values && typeof values[0 as never] !== 'bigint')

/** Bytes of every weight that the graph reads; `declared` is the graph before its passes, which may have dropped some. */
export function weightBytesOf(
  graph: Graph,
  declared: Graph,
  given: Readonly<Record<string, WeightValues>>,
): Map<string, Uint8Array> {
  const names = declared.weights.map((id) => id.slice(1))
  for (const name in given) {
    if (names.includes(name)) continue
    const plain = name.replace(/^@/, '')
    const meant = names.includes(plain) ? [plain] : nearest(plain, names, 1)
    fail({
      code: 'unknown-weight',
      message: `graph @${declared.name} has no weight \`${name}\``,
      facts: [['weights', names.join(', ') || 'none']],
      ...(meant.length
        ? { help: `did you mean \`${meant[0]}\`? names stand in the option \`weights\` without @` }
        : {}),
    })
  }
  return new Map(
    graph.weights.map((id) => [id.slice(1), weightBytes(id.slice(1), graph.types[id]!, given[id.slice(1)])]),
  )
}

function weightBytes(name: string, type: TensorType, values: WeightValues | undefined): Uint8Array {
  const declared: Fact = ['weight', `@${name}: ${printType(type)}`]
  const wrong = (message: string, facts: readonly Fact[], help?: string): never =>
    fail({
      code: 'bad-weight',
      message: `weight ${name} ${message}`,
      facts: [declared, ...facts],
      ...(help ? { help } : {}),
    })
  if (values === undefined || values === null)
    return fail({
      code: 'missing-weight',
      message: `weight ${name} has no values`,
      facts: [declared],
      help: 'give it in the option `weights`',
    })
  const asBytes = typeof values === 'object' && 'bytes' in values
  if (asBytes ? !(values.bytes instanceof Uint8Array) : !isValues(values))
    return wrong('is given as something that holds no numbers', [
      ['expected', 'an array of numbers, a typed array, or { bytes: Uint8Array }'],
      ['got', kindOf(asBytes ? values.bytes : values)],
    ])
  if (!asBytes && isQuant(type.dtype))
    return wrong(
      `is block-quantised and given as numbers`,
      [],
      `give its blocks as { bytes }: ${quantFormats[type.dtype].bytes} bytes for ${quantFormats[type.dtype].block} values`,
    )
  const [got, expected, unit] = asBytes
    ? [values.bytes.length, byteSize(type), 'bytes']
    : [(values as ArrayLike<number>).length, elementCount(type), 'values']
  if (got !== expected)
    return wrong('has the wrong size', [
      ['expected', `${expected} ${unit}`],
      ['got', `${got} ${unit}`],
    ])
  const fault = asBytes ? nanIn(type, values.bytes) : valueFault(type.dtype, values as ArrayLike<number>, true)
  if (fault) return wrong(fault, [], 'mend the values: a kernel would carry this into every result that reads them')
  return asBytes ? values.bytes : encodeValues(type.dtype, values as ArrayLike<number>)
}

const kindOf = (value: unknown): string =>
  value === null
    ? 'null'
    : typeof value === 'object'
      ? (value.constructor?.name ?? 'an object')
      : `a ${typeof value}`.replace('a undefined', 'undefined')

/** Values in a piece that is decoded at a time: a whole number of blocks of every format. */
const piece = 1 << 20

/** The first NaN among encoded values, in words. */
function nanIn({ dtype, shape }: TensorType, bytes: Uint8Array): string | undefined {
  if (!isCache(dtype) && !isQuant(dtype)) return undefined
  const total = product(shape as number[])
  for (let from = 0; from < total; from += piece) {
    const count = Math.min(piece, total - from)
    const at = rowBytes(dtype, from)
    const fault = valueFault(dtype, decodeTensor(dtype, [count], bytes.subarray(at, at + rowBytes(dtype, count))).data)
    if (fault) return fault.replace(/value (\d+)/, (_, i) => `value ${from + Number(i)}`)
  }
  return undefined
}

const ranges: Partial<Record<Dtype, readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  i8: [-128, 127],
  u8: [0, 255],
  bool: [0, 1],
}

/** Numbers from here on round to infinity. */
const infiniteFrom: Partial<Record<Dtype, number>> = { f16: 65520, f32: 2 ** 128 - 2 ** 103 }

/** What stops numbers from being values of this dtype, in words: NaN among weights, fractions among whole numbers. */
function valueFault(dtype: Dtype, values: ArrayLike<number>, weight = true): string | undefined {
  const range = ranges[dtype]
  if (!range && !weight && !Array.isArray(values)) return undefined
  const beyond = infiniteFrom[dtype] ?? Number.POSITIVE_INFINITY
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!
    if (typeof v !== 'number') return `has no number as value ${i}: ${String(v)}`
    if (!range && weight && Number.isNaN(v)) return `holds NaN as value ${i}`
    if (!range && weight && Math.abs(v) >= beyond && Math.abs(v) !== Number.POSITIVE_INFINITY)
      return `holds ${v} as value ${i}, which ${dtype} cannot: it would be infinite`
    if (range && !(Number.isInteger(v) && v >= range[0] && v <= range[1]))
      return `holds ${v} as value ${i}, which ${dtype} cannot`
  }
  return undefined
}

// ---- symbols -------------------------------------------------------------------------------------------------------

/** The symbols in the types of a graph, in the order in which they appear. */
export const symbolsIn = (graph: Graph): string[] => [
  ...new Set(
    [...graph.inputs, ...graph.order.flatMap((id) => graph.nodes[id]!.out)].flatMap((id) =>
      graph.types[id]!.shape.filter((dim) => typeof dim === 'string'),
    ),
  ),
]

/** Refuses symbols that the graph does not have, and values that are no counts. `where` names the option or argument. */
export function checkSymbols(graph: Graph, symbols: readonly string[], given: Bindings, where: string): void {
  for (const [symbol, value] of Object.entries(given)) {
    const isKnown = symbols.includes(symbol) || stepSymbols.some((known) => known === symbol)
    if (!isKnown)
      fail({
        code: 'unknown-symbol',
        message: `graph @${graph.name} has no symbol \`${symbol}\``,
        facts: [
          ['in', where],
          ['symbols', symbols.join(', ') || 'none: every dim is a number'],
        ],
        help: 'symbols are the dims of the types of the graph that are no numbers',
      })
    if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) continue
    fail({
      code: 'bad-symbol',
      message: `${symbol} must be a whole number from 0, is ${String(value)}`,
      facts: [['in', where]],
    })
  }
}

/** Inputs with their shapes: numbers as typed, symbols as bound or as the lengths of inputs tell. */
export function inputTensors(
  graph: Graph,
  inputs: Readonly<Record<string, Values>>,
  bindings: Bindings,
): { readonly tensors: Record<string, HostTensor>; readonly bindings: Bindings } {
  const wanted = graph.inputs.filter((id) => !graph.types[id]!.state)
  const unknown = Object.keys(inputs).find((name) => !wanted.includes(`%${name}`))
  if (unknown !== undefined)
    fail({
      code: 'graph-input',
      message: `the graph has no input ${unknown}`,
      facts: [['inputs', wanted.map((id) => id.slice(1)).join(', ')]],
    })
  for (const id of wanted) if (inputs[id.slice(1)] !== undefined) checkInput(id.slice(1), graph.types[id]!, inputs)
  const bound = boundByLengths(graph, wanted, inputs, bindings)
  const tensors = wanted.map((id) => {
    const { shape, dtype } = graph.types[id]!
    const name = id.slice(1)
    const values = inputs[name]
    const open = shape.filter((dim): dim is string => typeof dim === 'string' && bound[dim] === undefined)
    const numbers = shape.map((dim) => (typeof dim === 'number' ? dim : (bound[dim] ?? 0)))
    const expected = product(numbers)
    if (values && open.length === 0 && values.length === expected && numbers.every(Number.isInteger))
      return [name, hostTensor(dtype, numbers, values)] as const
    const got: Fact = ['got', values ? `${values.length} values` : 'nothing']
    if (values && open.length)
      return fail({
        code: 'unbound-symbol',
        message: `${open.map((symbol) => `\`${symbol}\``).join(' and ')} of input ${name} ${open.length > 1 ? 'have' : 'has'} no value`,
        facts: [['input', `${name}: ${printType({ dtype, shape })}`], got],
        help: `the length of an input tells one symbol: give the others, run(inputs, { ${open.slice(0, -1).join(': …, ')}: … })`,
      })
    const row = shape.reduce<number>((n, dim) => n * (typeof dim === 'number' ? dim : 1), 1)
    const count = numbers.every(Number.isInteger) ? `${expected} values` : `a multiple of ${row} values`
    return fail({
      code: 'graph-input',
      message: values ? `input ${name} has the wrong number of values` : `input ${name} is missing`,
      facts: [['expected', `${name}: ${printType({ dtype, shape })}${values ? `, ${count}` : ''}`], got],
    })
  })
  const given = Object.fromEntries(tensors)
  checkIndices(graph, given, bound)
  return { tensors: given, bindings: bound }
}

/** Inputs that choose rows: a kernel has no way to say that there is no such row. */
function checkIndices(graph: Graph, given: Readonly<Record<string, HostTensor>>, bound: Bindings): void {
  for (const { op, in: operands } of Object.values(graph.nodes)) {
    const [table] = opNamed(op).gathers
    const index = operands.ids ?? operands.rows
    const indices = index && given[index.slice(1)]?.data
    if (table === undefined || !indices) continue
    const rows = graph.types[operands[table]!]!.shape[0]!
    const limit = typeof rows === 'number' ? rows : (bound[rows] ?? Number.POSITIVE_INFINITY)
    const wrong = indices.find((row) => row !== noToken && (row < 0 || row >= limit))
    if (wrong === undefined) continue
    fail({
      code: 'op-index',
      message: `input ${index.slice(1)} asks for row ${wrong} of ${limit}`,
      facts: [
        ['op', op],
        ['rows of', operands[table]!],
        ['expected', `whole numbers from 0 to ${limit - 1}`],
      ],
    })
  }
}

function checkInput(name: string, type: TensorType, inputs: Readonly<Record<string, Values>>): void {
  const values: unknown = inputs[name]
  const expected: Fact = ['expected', `${name}: ${printType(type)}, an array of numbers or a typed array`]
  if (!isValues(values)) {
    const got: Fact = ['got', kindOf(values)]
    fail({ code: 'graph-input', message: `input ${name} holds no numbers`, facts: [expected, got] })
  }
  const fault = valueFault(type.dtype, values, false)
  if (fault) fail({ code: 'graph-input', message: `input ${name} ${fault}`, facts: [expected] })
}

/** The bindings, and every symbol that is the only open one of some input: its length tells it. */
function boundByLengths(
  graph: Graph,
  wanted: readonly string[],
  inputs: Readonly<Record<string, Values>>,
  bindings: Bindings,
): Bindings {
  const bound: Bindings = { ...bindings }
  for (let again = true; again; ) {
    again = false
    for (const id of wanted) {
      const values = inputs[id.slice(1)]
      const { shape } = graph.types[id]!
      const open = new Set(shape.filter((dim): dim is string => typeof dim === 'string' && bound[dim] === undefined))
      const [symbol] = open
      if (!values || symbol === undefined || open.size !== 1) continue
      const power = shape.filter((dim) => dim === symbol).length
      const rest = shape.reduce<number>((n, dim) => n * (typeof dim === 'number' ? dim : (bound[dim] ?? 1)), 1)
      const count = (values.length / rest) ** (1 / power)
      bound[symbol] =
        rest === 0 ? 0 : power > 1 && Math.round(count) ** power * rest === values.length ? Math.round(count) : count
      again = true
    }
  }
  return bound
}

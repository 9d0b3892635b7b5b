// An op is declared once: operands, attributes, result types, reference, doc. Builder, parser, verifier, reference
// executor and docs/ops.md derive from the declaration.
import { z } from 'zod'
import { fail, invariant } from './diagnostic.ts'
import type { Attrs } from './graph.ts'
import type { HostTensor, ReferenceContext } from './host-tensor.ts'
import { shown } from './shown.ts'
import { type Dim, isCache, isFloat, isQuant, printType, type TensorType } from './type.ts'
import { type GraphEditor, Value } from './value.ts'

/**
 * What a pass or kernel may ask of an op, instead of knowing its name.
 * - `view`: result is its operand's memory, seen with another layout: no kernel
 * - `load`: computed from weights alone, when they are loaded
 * - `elementwise`: result[i] depends on operand[i] (and broadcast operands) only
 * - `rowwise`: result row depends on the same row of x only
 */
export type Trait = 'view' | 'load' | 'elementwise' | 'rowwise'

/**
 * What attributes an op takes: a zod 4 object, `z.strictObject({ eps: z.number().describe('units') })`, whose values are
 * numbers, strings, booleans or lists of them. Only its types and `safeParse` are asked for.
 */
export interface AttrSchema {
  readonly _zod: { readonly input: unknown; readonly output: unknown }
  safeParse(attrs: unknown):
    | { readonly success: true; readonly data: unknown }
    | {
        readonly success: false
        readonly error: {
          readonly issues: readonly { readonly message: string; readonly path: readonly PropertyKey[] }[]
        }
      }
}
type AttrInput<A extends AttrSchema> = A['_zod']['input']
type AttrOutput<A extends AttrSchema> = A['_zod']['output']

type Docs = Readonly<Record<string, string>>
type Each<K extends Docs, V> = { readonly [name in keyof K]: V }
type Maybe<K extends Docs, V> = { readonly [name in keyof K]?: V | undefined }
type Operands<I extends Docs, O extends Docs, V> = Each<I, V> & Maybe<O, V>
type Results<R extends string, V> = [R] extends [never] ? V : { readonly [name in R]: V }

/** What every op says of itself. */
interface Declared<I extends Docs, O extends Docs, A extends AttrSchema, R extends string> {
  /** the equation, with dims in capital letters: `y[t,d] = max(x[t,d], low)` */
  readonly doc: string
  /** operand name → its type and meaning, in printing order: `{ x: 'float[T, D] activations' }` */
  readonly operands: I
  /** operands that may be left out; printed by name */
  readonly optional?: O
  readonly attrs?: A
  readonly traits?: readonly Trait[]
  /** names of several results; an op with one result leaves this out */
  readonly results?: readonly R[]
  /** result → the state operand whose memory it updates in place; an op with one result calls it `y` */
  readonly aliases?: Readonly<Record<string, keyof I & string>>
  /** operands of which only as many rows are read as the result has */
  readonly gathers?: readonly (keyof I & string)[]
}

/** What `defineOp` is given. */
export interface PlainOp<I extends Docs, O extends Docs, A extends AttrSchema, R extends string>
  extends Declared<I, O, A, R> {
  infer(
    operands: Operands<NoInfer<I>, NoInfer<O>, TensorType>,
    attrs: AttrOutput<NoInfer<A>>,
  ): Results<NoInfer<R>, TensorType>
  /** sums in f64, values no narrower than f32, whatever the dtypes */
  reference(
    operands: Operands<NoInfer<I>, NoInfer<O>, HostTensor>,
    attrs: AttrOutput<NoInfer<A>>,
    context: ReferenceContext,
  ): Results<NoInfer<R>, HostTensor>
}

/** What `defineFusedOp` is given. */
export interface FusedOp<I extends Docs, O extends Docs, A extends AttrSchema, R extends string>
  extends Declared<I, O, A, R> {
  /** the same mathematics in model ops: type, reference and fallback follow from it */
  expand(operands: Operands<NoInfer<I>, NoInfer<O>, Value>, attrs: AttrOutput<NoInfer<A>>): Results<NoInfer<R>, Value>
}

/** An op as the rest of the compiler sees it: untyped, by name. */
export interface OpDefinition {
  readonly name: string
  readonly doc: string
  readonly operands: Docs
  readonly optional: Docs
  readonly attrs: AttrSchema
  readonly traits: readonly Trait[]
  /** `['y']` for an op with one result */
  readonly results: readonly string[]
  readonly aliases: Readonly<Record<string, string>>
  readonly gathers: readonly string[]
  readonly infer?: (operands: Record<string, TensorType>, attrs: Attrs) => TensorType[]
  readonly reference?: (operands: Record<string, HostTensor>, attrs: Attrs, context: ReferenceContext) => HostTensor[]
  /** only fused ops */
  readonly expand?: (operands: Record<string, Value>, attrs: Attrs) => Value[]
}

/** Calling an op appends a node to the graph that its operands belong to. */
export interface Op<I extends Docs, O extends Docs, A, R extends string> {
  /**
   * @param operands values of one graph, by name
   * @param attrs attributes, as the op's schema takes them
   * @param label where in the model the node is: errors and printed graphs name it
   */
  (operands: Operands<I, O, Value>, attrs?: A, label?: string): Results<R, Value>
  readonly definition: OpDefinition
}

const registry = new Map<string, OpDefinition>()

export const allOps = (): OpDefinition[] => [...registry.values()]
export const findOp = (name: string): OpDefinition | undefined => registry.get(name)
export function opNamed(name: string): OpDefinition {
  const op = registry.get(name)
  invariant(op, `op ${name} is not declared`)
  return op
}

/** What an op without attributes takes: `{}`. */
interface NoAttrs extends AttrSchema {
  readonly _zod: { readonly input: Record<string, never>; readonly output: Record<string, never> }
}
const noAttrs: NoAttrs = z.strictObject({})

export function defineOp<
  const I extends Docs,
  const O extends Docs = Record<never, never>,
  A extends AttrSchema = NoAttrs,
  const R extends string = never,
>(name: string, spec: PlainOp<I, O, A, R>): Op<I, O, AttrInput<A>, R> {
  const list = (results: unknown): never[] =>
    (spec.results ? spec.results.map((r) => (results as Record<string, unknown>)[r]) : [results]) as never[]
  return register(name, spec, {
    infer: (operands, attrs) => list(spec.infer(operands as never, attrs as never)),
    reference: (operands, attrs, context) => list(spec.reference(operands as never, attrs as never, context)),
  })
}

export function defineFusedOp<
  const I extends Docs,
  const O extends Docs = Record<never, never>,
  A extends AttrSchema = NoAttrs,
  const R extends string = never,
>(name: string, spec: FusedOp<I, O, A, R>): Op<I, O, AttrInput<A>, R> {
  return register(name, spec, {
    expand: (operands, attrs) => {
      const made = spec.expand(operands as never, attrs as never) as Value & Record<string, Value>
      return spec.results ? spec.results.map((r) => made[r]!) : [made]
    },
  })
}

function register<I extends Docs, O extends Docs, A extends AttrSchema, R extends string>(
  name: string,
  spec: Declared<I, O, A, R>,
  behaviour: Pick<OpDefinition, 'infer' | 'reference' | 'expand'>,
): Op<I, O, AttrInput<A>, R> {
  invariant(!registry.has(name), `op ${name} is declared twice`)
  const definition: OpDefinition = {
    name,
    doc: spec.doc,
    operands: spec.operands,
    optional: spec.optional ?? {},
    attrs: spec.attrs ?? noAttrs,
    traits: spec.traits ?? [],
    results: spec.results ?? ['y'],
    aliases: spec.aliases ?? {},
    gathers: spec.gathers ?? [],
    ...behaviour,
  }
  registry.set(name, definition)
  const call = (operands: Record<string, Value | undefined>, attrs: Record<string, unknown> = {}, label?: string) => {
    const graph = graphOf(definition, operands)
    const isRecord = typeof attrs === 'object' && attrs !== null && !Array.isArray(attrs)
    if (!isRecord)
      fail({
        code: 'op-attribute',
        message: `attributes of ${name} are an object, not ${shown(attrs)}`,
        help: `${name}({ ${Object.keys(spec.operands).join(', ')} }, { … })`,
      })
    if (label !== undefined && typeof label !== 'string')
      fail({ code: 'bad-argument', message: `the label of ${name} is a text, not ${shown(label)}` })
    const results = graph.append(definition, operands, attrs, label)
    if (!spec.results) return results[0]
    return Object.fromEntries(spec.results.map((r, i) => [r, results[i]]))
  }
  return Object.assign(call, { definition }) as unknown as Op<I, O, AttrInput<A>, R>
}

/** The graph that all operands belong to; Diagnostic `op-operand` where they are no values of one. */
function graphOf({ name, operands: docs }: OpDefinition, operands: unknown): GraphEditor {
  const names = Object.keys(docs).join(', ')
  const help = `${name}({ ${names} }) with values of a graph: results of other ops, inputs and weights`
  if (typeof operands !== 'object' || operands === null || operands instanceof Value)
    fail({ code: 'op-operand', message: `operands of ${name} are an object of values, not ${shown(operands)}`, help })
  const given = Object.entries(operands).filter(([, value]) => value !== undefined)
  for (const [operand, value] of given)
    if (!(value instanceof Value))
      fail({
        code: 'op-operand',
        message: `operand ${operand} of ${name} is ${shown(value)}`,
        facts: [['expected', 'a value of a graph']],
        help,
      })
  const [first] = given
  if (!first) return fail({ code: 'op-operand', message: `${name} needs operands: ${names}` })
  return (first[1] as Value).graph
}

// ---- what `infer` functions say about types ----------------------------------------------------------------------

const typeError = (message: string, facts: [string, string][] = []): never =>
  fail({ code: 'op-type', message, facts, help: 'docs/ops.md lists the operands of every op' })

/** The dim at `axis` (negative counts from the end). */
export function dimAt(type: TensorType, axis: number): Dim {
  const dim = type.shape.at(axis)
  return dim ?? typeError(`axis ${axis} is outside ${printType(type)}`)
}

/** A dim that must be known when kernels are compiled. */
export function staticDim(type: TensorType, axis: number): number {
  const dim = dimAt(type, axis)
  return typeof dim === 'number' ? dim : typeError(`dim ${axis} of ${printType(type)} must be a number, is ${dim}`)
}

/** All the named places hold one and the same dim; returns it. */
export function sameDim(name: string, ...places: [TensorType, number][]): Dim {
  const dims = places.map(([type, axis]) => dimAt(type, axis))
  if (dims.some((dim) => dim !== dims[0])) {
    typeError(`operands disagree on ${name}`, [
      ['got', places.map(([t, a]) => `${dimAt(t, a)} (dim ${a} of ${printType(t)})`).join(', ')],
    ])
  }
  return dims[0]!
}

export function expectRank(name: string, type: TensorType, rank: number): void {
  if (type.shape.length !== rank) typeError(`${name} must have ${rank} dims, is ${printType(type)}`)
}

/** Floats, in any form that a cache keeps them in. */
export function expectCache(name: string, type: TensorType): void {
  if (!isCache(type.dtype)) typeError(`${name} must be f32, f16, bf16, f8_e4m3 or q8_0, is ${printType(type)}`)
}
export function expectFloat(name: string, type: TensorType): void {
  if (!isFloat(type.dtype)) typeError(`${name} must be f32, f16 or bf16, is ${printType(type)}`)
}

export function expectDtype(name: string, type: TensorType, ...dtypes: TensorType['dtype'][]): void {
  if (!dtypes.includes(type.dtype)) typeError(`${name} must be ${dtypes.join(' or ')}, is ${printType(type)}`)
}

/** An i32 list: positions, requests, indices. */
export function expectIndices(name: string, type: TensorType): void {
  expectDtype(name, type, 'i32')
  expectRank(name, type, 1)
}

/** What matmul and embed read: floats, or a block-quantised format. */
export function expectWeight(name: string, type: TensorType): void {
  if (!isFloat(type.dtype) && !isQuant(type.dtype))
    typeError(`${name} must be a float or quantised type, is ${printType(type)}`)
}

export function expectState(name: string, type: TensorType): void {
  if (!type.state) typeError(`${name} must be a state, is ${printType(type)}`)
}

export function expect(holds: boolean, message: string): void {
  if (!holds) typeError(message)
}

// Ops of a user's own: declared as ours are (op.ts), in the same registry, with a declaration and results that are checked,
// since nobody's tests have run over them.
import { z } from 'zod'
import { callerOf, checkFields, hintFor, inUserCode } from './declaration.ts'
import { type Fact, fail } from './diagnostic.ts'
import type { HostTensor, ReferenceContext } from './host-tensor.ts'
import { type AttrSchema, defineFusedOp, defineOp, findOp, type Trait } from './op.ts'
import './ops/index.ts'
import { bindShape, printType, product, sameDims, type TensorType, tensor, typeFault } from './type.ts'
import { Value } from './value.ts'

type AnySpec = {
  readonly doc: string
  readonly operands: Readonly<Record<string, string>>
  readonly optional?: Readonly<Record<string, string>>
  readonly attrs?: AttrSchema
  readonly traits?: readonly Trait[]
  readonly results?: readonly string[]
  readonly aliases?: Readonly<Record<string, string>>
  readonly gathers?: readonly string[]
  readonly infer?: (operands: never, attrs: never) => unknown
  readonly reference?: (operands: never, attrs: never, context: never) => unknown
  readonly expand?: (operands: never, attrs: never) => unknown
}

const shared = ['optional', 'attrs', 'traits', 'results', 'aliases', 'gathers'] as const
const plain = { required: ['doc', 'operands', 'infer', 'reference'], optional: shared }
const fused = { required: ['doc', 'operands', 'expand'], optional: shared }
/** Of the traits in op.ts those that need nothing else of the compiler: it lays out views and evaluates loads itself. */
const possibleTraits: readonly string[] = ['elementwise', 'rowwise']
const reserved = ['input', 'weight', 'graph', 'return', 'state', 'true', 'false']
const word = /^[a-z][a-z0-9_]*$/

/** Every op of users, with its declaration as text and where it was declared. */
const declared = new Map<string, { readonly op: unknown; readonly text: string; readonly at: string | undefined }>()

/**
 * Declares an op: its type rule, its reference, its doc. It can then be called with values of a graph, printed, parsed and
 * verified, runs on the reference executor, and is compiled where a kernel implements it (`defineKernel`). Errors: `bad-op`,
 * `duplicate-op`.
 * @example
 * const clamp = defineOp('my_clamp', {
 *   doc: 'y = min(max(x, low), high)',
 *   operands: { x: 'float[…]' },
 *   attrs: z.strictObject({ low: z.number().describe('least y'), high: z.number().describe('largest y') }),
 *   traits: ['elementwise'],
 *   infer({ x }) {
 *     expectFloat('x', x)
 *     return x
 *   },
 *   reference: ({ x }, { low, high }, context) => mapElements(x, context, (v) => Math.min(Math.max(v, low), high)),
 * })
 */
export const defineOwnOp: typeof defineOp = ((name: string, spec: AnySpec) =>
  declare(name, spec, plain, callerOf(defineOwnOp as never), () =>
    defineOp(name, {
      ...spec,
      infer: (operands: Record<string, TensorType>, attrs: unknown) => inferred(name, spec, operands, attrs),
      reference: (operands: Record<string, HostTensor>, attrs: unknown, context: unknown) =>
        referred(name, spec, operands, attrs, context),
    } as never),
  )) as never

/**
 * Declares a fused op by its expansion in other ops, from which type, reference and fallback follow: where no kernel serves it,
 * it runs as its expansion. Passes put it in the place of what it stands for. Errors: `bad-op`, `duplicate-op`.
 * @example
 * const mulAdd = defineFusedOp('my_mul_add', {
 *   doc: 'a · b + c, without storing a · b',
 *   operands: { a: 'float[…]', b: 'float[…]', c: 'float[…]' },
 *   expand: ({ a, b, c }) => ops.add({ a: ops.mul({ a, b }), b: c }),
 * })
 */
export const defineOwnFusedOp: typeof defineFusedOp = ((name: string, spec: AnySpec) =>
  declare(name, spec, fused, callerOf(defineOwnFusedOp as never), () =>
    defineFusedOp(name, {
      ...spec,
      expand: (operands: Record<string, Value>, attrs: unknown) => expanded(name, spec, operands, attrs),
    } as never),
  )) as never

function declare(
  name: string,
  spec: AnySpec,
  fields: typeof plain,
  at: string | undefined,
  make: () => unknown,
): unknown {
  checkDeclaration(name, spec, fields, at)
  const text = textOf(spec)
  const known = declared.get(name)
  if (known?.text === text) return known.op
  if (findOp(name))
    fail({
      code: 'duplicate-op',
      message: known ? `op ${name} is declared twice, in two ways` : `op ${name} is one of the compiler's own`,
      facts: [
        ...(known?.at ? [['first', known.at] as Fact] : []),
        ...(at ? [[known ? 'then' : 'at', at] as Fact] : []),
      ],
      help: 'ops are found by their name wherever a graph is printed or read: give this one another',
    })
  const op = make()
  declared.set(name, { op, text, at })
  return op
}

/** Equal for equal declarations: a file may be evaluated twice. */
function textOf({ attrs, ...spec }: AnySpec): string {
  const functions = (_: string, value: unknown) => (typeof value === 'function' ? String(value) : value)
  const schema = attrs && z.toJSONSchema(attrs as z.ZodType, { io: 'input', unrepresentable: 'any' })
  return JSON.stringify([spec, schema], functions)
}

function checkDeclaration(name: string, spec: AnySpec, fields: typeof plain, at: string | undefined): void {
  const what = `op ${name}`
  const bad = (message: string, help?: string): never =>
    fail({ code: 'bad-op', message, facts: at ? [['at', at]] : [], ...(help ? { help } : {}) })
  if (typeof name !== 'string' || !word.test(name) || reserved.includes(name))
    bad(`an op cannot be called ${JSON.stringify(name)}`, 'names are lower case: my_clamp')
  checkFields('bad-op', what, spec, fields)
  const operands = [...Object.keys(spec.operands), ...Object.keys(spec.optional ?? {})]
  const results = spec.results ?? ['y']
  if (Object.keys(spec.operands).length === 0)
    bad(`${what} has no operands`, 'a node belongs to the graph of its operands')
  for (const one of [...operands, ...results])
    if (!word.test(one))
      bad(`${what} cannot have an operand or result called ${JSON.stringify(one)}`, 'names are lower case')
  const twice =
    operands.find((one, i) => operands.indexOf(one) !== i) ?? results.find((one, i) => results.indexOf(one) !== i)
  if (twice) bad(`${what} names ${twice} twice`)
  for (const trait of spec.traits ?? [])
    if (!possibleTraits.includes(trait)) bad(`${what} cannot have the trait ${trait}`, hintFor(trait, possibleTraits))
  for (const [result, operand] of Object.entries(spec.aliases ?? {})) {
    if (!results.includes(result)) bad(`${what} has no result ${result} that could alias`, hintFor(result, results))
    if (!operands.includes(operand)) bad(`${what} has no operand ${operand} to alias`, hintFor(operand, operands))
  }
  for (const one of spec.gathers ?? [])
    if (!operands.includes(one)) bad(`${what} has no operand ${one} to gather from`, hintFor(one, operands))
  if (spec.attrs && (typeof spec.attrs.safeParse !== 'function' || !spec.attrs._zod))
    bad(`the attrs of ${what} are no zod schema`, "z.strictObject({ … }) of 'zod', version 4")
  for (const one of fields.required)
    if (['infer', 'reference', 'expand'].includes(one) && typeof spec[one as 'infer'] !== 'function')
      bad(`${one} of ${what} must be a function`)
}

const listed = (spec: AnySpec, results: unknown): unknown[] =>
  spec.results ? spec.results.map((name) => (results as Record<string, unknown> | undefined)?.[name]) : [results]

const signature = (operands: Readonly<Record<string, TensorType>>): Fact => [
  'of',
  Object.entries(operands)
    .map(([name, type]) => `${name}: ${printType(type)}`)
    .join(', '),
]

function inferred(name: string, spec: AnySpec, operands: Record<string, TensorType>, attrs: unknown): unknown {
  const facts = [signature(operands)]
  for (const [attr, value] of Object.entries((attrs ?? {}) as Record<string, unknown>)) {
    const isScalar = (one: unknown) => ['number', 'string', 'boolean'].includes(typeof one)
    if (!isScalar(value) && !(Array.isArray(value) && value.every(isScalar)))
      fail({
        code: 'bad-op',
        message: `attribute ${attr} of op ${name} is neither a scalar nor a list of scalars`,
        facts,
      })
  }
  const types = inUserCode('bad-op', `infer of op ${name} failed`, facts, () =>
    spec.infer!(operands as never, attrs as never),
  )
  for (const [i, type] of listed(spec, types).entries()) {
    const isType = typeof type === 'object' && type !== null && Array.isArray((type as TensorType).shape)
    const fault = isType ? typeFault(type as TensorType) : 'it must be a type: tensor(dtype, shape)'
    if (fault)
      fail({
        code: 'bad-op',
        message: `infer of op ${name} gives no type for ${spec.results?.[i] ?? 'y'}: ${fault}`,
        facts,
      })
  }
  return types
}

/** The results of the reference, which must have the shapes that `infer` gives. */
function referred(
  name: string,
  spec: AnySpec,
  operands: Record<string, HostTensor>,
  attrs: unknown,
  context: unknown,
): unknown {
  const types = Object.fromEntries(
    Object.entries(operands).map(([one, { dtype, shape }]) => [one, tensor(dtype, shape)]),
  )
  const facts = [signature(types)]
  const made = inUserCode('bad-op', `the reference of op ${name} failed`, facts, () =>
    spec.reference!(operands as never, attrs as never, context as never),
  )
  if (Object.keys(spec.aliases ?? {}).length > 0) return made // infer asks for states, of which tensors know nothing
  const { bindings } = context as ReferenceContext
  const wanted = listed(spec, inferred(name, spec, types, attrs)) as TensorType[]
  for (const [i, value] of listed(spec, made).entries()) {
    const { dtype } = wanted[i]!
    const shape = bindShape(wanted[i]!.shape, bindings)
    const got = value as HostTensor | undefined
    const isRight = got?.dtype === dtype && sameDims(got.shape, shape) && got.data?.length === product(shape)
    if (!isRight)
      fail({
        code: 'bad-op',
        message: `the reference of op ${name} gives ${spec.results?.[i] ?? 'y'} another type than infer`,
        facts: [
          ...facts,
          ['expected', `${printType({ dtype, shape })}, ${product(shape)} values`],
          ['got', got?.shape ? `${printType(tensor(got.dtype, got.shape))}, ${got.data?.length} values` : String(got)],
        ],
      })
  }
  return made
}

function expanded(name: string, spec: AnySpec, operands: Record<string, Value>, attrs: unknown): unknown {
  const facts = [signature(Object.fromEntries(Object.entries(operands).map(([one, value]) => [one, value.type])))]
  const made = inUserCode('bad-op', `expand of op ${name} failed`, facts, () =>
    spec.expand!(operands as never, attrs as never),
  )
  for (const [i, value] of listed(spec, made).entries())
    if (!(value instanceof Value))
      fail({
        code: 'bad-op',
        message: `expand of op ${name} gives no value for ${spec.results?.[i] ?? 'y'}`,
        facts,
        help: spec.results ? 'return an object with a value for each of its results' : 'return what the last op gave',
      })
  return made
}

// Checks one application of an op against its declaration: operands known and complete, attributes valid, types right.

import { GraphBuilder } from './builder.ts'
import { Diagnostic, fail } from './diagnostic.ts'
import type { Attrs, AttrValue, Node, ValueId } from './graph.ts'
import type { OpDefinition } from './op.ts'
import { isQuant, printType, type TensorType, tensor } from './type.ts'
import type { Value } from './value.ts'

/** What `parseAttrs` returned, and for which op: graphs share it, so most attributes are parsed once. */
const parsedFor = new WeakMap<object, OpDefinition>()

/** Attributes as zod returns them: defaults filled in, `undefined` dropped. Frozen. */
export function parseAttrs(op: OpDefinition, attrs: Readonly<Record<string, unknown>>): Attrs {
  if (parsedFor.get(attrs) === op) return attrs as Attrs
  const parsed = op.attrs.safeParse(attrs)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    fail({
      code: 'op-attribute',
      message: `${op.name} does not take these attributes: ${issue.message}`,
      facts: [['attr', issue.path.join('.') || Object.keys(attrs).join(', ')]],
      help: 'docs/ops.md lists the attributes of every op',
    })
  }
  const data = parsed.data as Record<string, AttrValue | undefined>
  const set: Record<string, AttrValue> = {}
  for (const name in data) if (data[name] !== undefined) set[name] = data[name]
  for (const name in set) Object.freeze(set[name])
  parsedFor.set(Object.freeze(set), op)
  return set
}

/**
 * The types that a node was inferred with, operands before results. Graphs share nodes and types: what holds of these in
 * one graph holds in all, and need not be inferred again.
 */
const inferredWith = new WeakMap<Node, readonly TensorType[]>()

export function rememberTypes(node: Node, types: Readonly<Record<ValueId, TensorType>>): void {
  const list: TensorType[] = []
  for (const name in node.in) list.push(types[node.in[name]!]!)
  for (const out of node.out) list.push(types[out]!)
  inferredWith.set(node, list)
}

/** True if the node was inferred with these very types. */
export function isInferredWith(node: Node, types: Readonly<Record<ValueId, TensorType>>): boolean {
  const known = inferredWith.get(node)
  if (!known) return false
  let i = 0
  for (const name in node.in) if (types[node.in[name]!] !== known[i++]) return false
  for (const out of node.out) if (types[out] !== known[i++]) return false
  return i === known.length
}

/** The operands given, in the order that the op declares, whatever order the caller wrote them in. */
export function orderOperands<T>(op: OpDefinition, given: Readonly<Record<string, T | undefined>>): Record<string, T> {
  const ordered: Record<string, T> = {}
  for (const name in op.operands) {
    const operand = given[name]
    if (operand === undefined)
      return fail({ code: 'op-operand', message: `${op.name} needs an operand \`${name}\`: ${op.operands[name]}` })
    ordered[name] = operand
  }
  for (const name in op.optional) {
    const operand = given[name]
    if (operand !== undefined) ordered[name] = operand
  }
  for (const name in given) {
    if (Object.hasOwn(op.operands, name) || Object.hasOwn(op.optional, name)) continue
    fail({
      code: 'op-operand',
      message: `${op.name} has no operand \`${name}\``,
      help: `its operands are ${[...Object.keys(op.operands), ...Object.keys(op.optional)].join(', ')}`,
    })
  }
  return ordered
}

/** Expansions of fused ops already inferred: 32 equal layers ask 32 times. */
const expanded = new Map<string, readonly TensorType[]>()
const maxExpanded = 10_000

/**
 * Result types of `op` on operands of the given types; a Diagnostic names what does not fit. Only a result that updates a
 * state is a state: everything else that reads one gets its contents at that moment, which a view could not promise.
 */
export function inferTypes(
  op: OpDefinition,
  operands: Readonly<Record<string, TensorType>>,
  attrs: Attrs,
): readonly TensorType[] {
  const types = orderOperands(op, operands)
  if (!op.infer) return expandedTypes(op, types, attrs)
  if (op.traits.includes('view') && (types.x!.state || isQuant(types.x!.dtype)))
    fail({
      code: 'op-type',
      message: `x of ${op.name} must be neither a state nor quantised, is ${printType(types.x!)}`,
      help: 'a view shows memory that nothing changes, element by element',
    })
  return op
    .infer(types, attrs)
    .map((type, i) => (type.state && !op.aliases[op.results[i]!] ? tensor(type.dtype, type.shape) : type))
}

function expandedTypes(
  op: OpDefinition,
  operands: Readonly<Record<string, TensorType>>,
  attrs: Attrs,
): readonly TensorType[] {
  let key = op.name
  for (const name in operands) key += `|${name}:${printType(operands[name]!)}`
  key += JSON.stringify(attrs)
  const known = expanded.get(key)
  if (known) return known
  const graph = new GraphBuilder(op.name)
  const handles = Object.fromEntries(Object.entries(operands).map(([name, type]) => [name, graph.input(name, type)]))
  const types = expansionOf(op, handles, attrs).map((value) => value.type)
  if (expanded.size >= maxExpanded) expanded.clear()
  expanded.set(key, types)
  return types
}

/** What does not fit an op of the expansion does not fit the fused op. */
function expansionOf(op: OpDefinition, handles: Record<string, Value>, attrs: Attrs): readonly Value[] {
  try {
    return op.expand!(handles, attrs)
  } catch (error) {
    if (!(error instanceof Diagnostic)) throw error
    return fail({ code: 'op-type', message: `${op.name}: ${error.summary}`, facts: error.facts }, error)
  }
}

/** `rms_norm(f32[T, 64], f16[64])`, for errors. */
export const printSignature = (op: string, operands: Record<string, TensorType>): string =>
  `${op}(${Object.values(operands).map(printType).join(', ')})`

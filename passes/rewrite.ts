// How passes change graphs. A Rewriter reads a graph through handles, appends nodes, and lets values stand for others;
// `finish` makes the new graph in one immer draft, so that everything untouched is shared with the old one.
import { produce } from 'immer'
import { invariant } from '../ir/diagnostic.ts'
import { type Attrs, type Graph, type Node, producers, typeOf, useCounts, type ValueId } from '../ir/graph.ts'
import { inferTypes, parseAttrs } from '../ir/infer.ts'
import type { OpDefinition } from '../ir/op.ts'
import { opNamed } from '../ir/op.ts'
import { printType, sameType, type TensorType } from '../ir/type.ts'
import { type GraphEditor, Value } from '../ir/value.ts'
import type { Pass } from './pass.ts'

export class Rewriter implements GraphEditor {
  readonly graph: Graph
  readonly #madeBy: Map<ValueId, Node>
  readonly #uses: Map<ValueId, number>
  readonly #types = new Map<ValueId, TensorType>()
  readonly #changed = new Map<ValueId, Node>()
  readonly #removed = new Set<ValueId>()
  /** readers of a value, so that replacing one touches only them */
  readonly #readers = new Map<ValueId, Set<ValueId>>()
  /** node → nodes appended at its place, before it */
  readonly #inserted = new Map<ValueId, ValueId[]>()
  readonly #outputs: Map<string, ValueId>
  /** new value → the old id it takes over: an id survives every rewrite of its value */
  readonly #heirs = new Map<ValueId, ValueId>()
  #at: ValueId | undefined
  #next: number
  #edited = false
  #positions: Map<ValueId, number> | undefined

  constructor(graph: Graph) {
    this.graph = graph
    this.#madeBy = producers(graph)
    this.#uses = useCounts(graph)
    this.#outputs = new Map(graph.outputs.map(({ name, value }) => [name, value]))
    let largest = -1
    for (const id of Object.keys(graph.types)) {
      const number = /^%(\d+)$/.exec(id)
      if (number) largest = Math.max(largest, Number(number[1]))
    }
    this.#next = largest + 1
    for (const id of graph.order) this.#read(graph.nodes[id]!, 1)
  }

  #read(node: Node, by: 1 | -1): void {
    for (const id of Object.values(node.in)) {
      const readers = this.#readers.get(id) ?? new Set()
      this.#readers.set(id, readers)
      if (by > 0) readers.add(node.id)
      else readers.delete(node.id)
    }
  }

  typeOf(id: ValueId): TensorType {
    return this.#types.get(id) ?? typeOf(this.graph, id)
  }
  nodeOf(id: ValueId): Node | undefined {
    return this.#madeBy.get(id)
  }
  usesOf(id: ValueId): number {
    return this.#uses.get(id) ?? 0
  }
  value(id: ValueId): Value {
    return new Value(this, id)
  }
  /** The nodes that read a value, as it stands now. */
  readersOf(id: ValueId): Node[] {
    return [...(this.#readers.get(id) ?? [])].map((reader) => this.#changed.get(reader) ?? this.graph.nodes[reader]!)
  }
  /** Place of a node in the old graph's order; new nodes come last. */
  positionOf(id: ValueId): number {
    this.#positions ??= new Map(this.graph.order.map((node, i) => [node, i]))
    return this.#positions.get(id) ?? this.graph.order.length
  }
  /** Ids of the nodes of the old graph, in order, that still stand. */
  *nodes(): Iterable<Node> {
    for (const id of this.graph.order) {
      if (this.#removed.has(id)) continue
      this.#at = id
      yield this.#changed.get(id) ?? this.graph.nodes[id]!
    }
  }

  append(
    op: OpDefinition,
    operands: Record<string, Value | undefined>,
    attrs: Record<string, unknown>,
    label?: string,
  ): Value[] {
    const given = Object.entries(operands).filter((entry): entry is [string, Value] => entry[1] !== undefined)
    const parsed: Attrs = parseAttrs(op, attrs)
    const types = inferTypes(op, Object.fromEntries(given.map(([name, value]) => [name, value.type])), parsed)
    const out = types.map(() => `%${this.#next++}`)
    const node: Node = {
      id: out[0]!,
      op: op.name,
      in: Object.fromEntries(given.map(([n, v]) => [n, v.id])),
      attrs: parsed,
      out,
      ...(label ? { label } : {}),
    }
    for (const [i, id] of out.entries()) {
      this.#types.set(id, types[i]!)
      this.#madeBy.set(id, node)
    }
    for (const id of Object.values(node.in)) this.#uses.set(id, this.usesOf(id) + 1)
    this.#changed.set(node.id, node)
    this.#read(node, 1)
    invariant(this.#at, 'a pass appends nodes while it visits nodes')
    const place = this.#inserted.get(this.#at) ?? []
    place.push(node.id)
    this.#inserted.set(this.#at, place)
    this.#edited = true
    return out.map((id) => new Value(this, id))
  }

  /** Lets `by` stand wherever `old` was read. A node made for it takes over the id and label of the old one. */
  replace(old: Value, by: Value): void {
    if (old.id === by.id) return
    invariant(
      sameType(old.type, by.type),
      `${old.id}: ${printType(old.type)} cannot be replaced by ${printType(by.type)}`,
    )
    for (const reader of this.readersOf(old.id)) {
      if (reader.id === by.id || this.#madeBy.get(by.id)?.id === reader.id) continue // by may be computed from old
      this.#update(reader, { ...reader, in: mapValues(reader.in, (id) => (id === old.id ? by.id : id)) })
    }
    for (const [name, value] of this.#outputs) {
      if (value !== old.id) continue
      this.#outputs.set(name, by.id)
      this.#uses.set(old.id, this.usesOf(old.id) - 1)
      this.#uses.set(by.id, this.usesOf(by.id) + 1)
    }
    this.#inherit(old.id, by.id)
    this.#edited = true
    this.#sweep(old.id)
  }

  #inherit(old: ValueId, by: ValueId): void {
    const isNew = this.graph.types[by] === undefined
    const heir = this.#madeBy.get(by)
    const label = this.#madeBy.get(old)?.label
    if (!isNew || !heir || this.graph.types[old] === undefined || this.#heirs.has(by)) return
    this.#heirs.set(by, old)
    if (label && !heir.label) this.#update(heir, { ...heir, label })
  }

  #update(before: Node, after: Node): void {
    this.#read(before, -1)
    for (const id of Object.values(before.in)) this.#uses.set(id, this.usesOf(id) - 1)
    for (const id of Object.values(after.in)) this.#uses.set(id, this.usesOf(id) + 1)
    this.#read(after, 1)
    this.#changed.set(after.id, after)
    for (const id of after.out) this.#madeBy.set(id, after)
  }

  /** Removes the node of a value that nothing reads any more, and what only it read. */
  #sweep(id: ValueId): void {
    const node = this.#madeBy.get(id)
    if (!node || this.#removed.has(node.id) || node.out.some((out) => this.usesOf(out) > 0)) return
    this.#removed.add(node.id)
    this.#read(node, -1)
    for (const operand of Object.values(node.in)) {
      this.#uses.set(operand, this.usesOf(operand) - 1)
      this.#sweep(operand)
    }
  }

  /** Removes every node whose results nothing reads. */
  sweepDead(): void {
    for (const id of [...this.graph.order].reverse()) {
      const before = this.#removed.size
      this.#sweep(id)
      if (this.#removed.size !== before) this.#edited = true
    }
  }

  /** The new graph; the old one itself if nothing changed. */
  finish(): Graph {
    if (!this.#edited) return this.graph
    const alive = (id: ValueId) => !this.#removed.has(id)
    const tentative: ValueId[] = []
    for (const id of this.graph.order) {
      for (const added of this.#inserted.get(id) ?? []) if (alive(added)) tentative.push(added)
      if (alive(id)) tentative.push(id)
    }
    const heirs = new Map(
      [...this.#heirs].filter(([by, old]) => {
        const former = this.#madeBy.get(old)
        return former && this.#removed.has(former.id) && alive(this.#madeBy.get(by)!.id)
      }),
    )
    const renamed = (id: ValueId) => heirs.get(id) ?? id
    const sorted = this.#sorted(tentative)
    const order = sorted.map(renamed)
    const outputs = this.graph.outputs.map(({ name }) => ({ name, value: renamed(this.#outputs.get(name)!) }))
    const used = new Set<ValueId>(outputs.map(({ value }) => value))
    for (const id of sorted) for (const operand of Object.values(this.#node(id).in)) used.add(operand)
    return produce(this.graph, (draft) => {
      for (const id of this.#removed) {
        const node = this.graph.nodes[id]
        if (!node) continue
        delete draft.nodes[id]
        for (const out of node.out) delete draft.types[out]
      }
      for (const [id, node] of this.#changed) {
        if (!alive(id)) continue
        const out = node.out.map(renamed)
        const moved: Node = { ...node, id: renamed(id), in: mapValues(node.in, renamed), out }
        draft.nodes[renamed(id)] = moved as (typeof draft.nodes)[string]
        for (const [i, result] of node.out.entries())
          draft.types[out[i]!] = this.typeOf(result) as (typeof draft.types)[string]
      }
      draft.order = order
      draft.outputs = outputs
      draft.weights = this.graph.weights.filter((id) => used.has(id))
      for (const id of this.graph.weights) if (!used.has(id)) delete draft.types[id]
    })
  }

  #node(id: ValueId): Node {
    return this.#changed.get(id) ?? this.graph.nodes[id]!
  }

  /** A stable topological order: each node as early as it stood, but after what it reads. */
  #sorted(tentative: readonly ValueId[]): ValueId[] {
    const order: ValueId[] = []
    const placed = new Set<ValueId>()
    const place = (id: ValueId): void => {
      if (placed.has(id)) return
      placed.add(id)
      for (const operand of Object.values(this.#node(id).in)) {
        const maker = this.#madeBy.get(operand)
        if (maker) place(maker.id)
      }
      order.push(id)
    }
    tentative.forEach(place)
    return order
  }
}

const mapValues = (record: Readonly<Record<string, string>>, f: (value: string) => string): Record<string, string> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value)]))

/** A handle on a node for ts-pattern: what rules match on. */
export type Matched = Value

interface Rewrite {
  readonly name: string
  readonly doc: string
  readonly numerics: Pass['numerics']
  /** the op that the rule looks at */
  readonly root: string
  /**
   * Given the value of a root node, the value (or, for a root with several results, the values) to put in its place, or
   * null. Nodes that the rule builds stand at the root's place.
   */
  readonly rule: (root: Value, rewriter: Rewriter) => Value | readonly Value[] | null
}

/** A pass of one rule, tried at every node of its root op. */
export function rewritePass({ name, doc, numerics, root, rule }: Rewrite): Pass {
  return editPass({ name, doc, numerics }, (rewriter) => {
    for (const node of rewriter.nodes()) {
      if (node.op !== root) continue
      const found = rule(rewriter.value(node.id), rewriter)
      if (!found) continue
      const values = Array.isArray(found) ? (found as readonly Value[]) : [found as Value]
      for (const [i, value] of values.entries()) rewriter.replace(rewriter.value(node.out[i]!), value)
    }
  })
}

/** A pass that edits freely. */
export function editPass(about: Pick<Pass, 'name' | 'doc' | 'numerics'>, edit: (rewriter: Rewriter) => void): Pass {
  return {
    ...about,
    run(graph) {
      const rewriter = new Rewriter(graph)
      edit(rewriter)
      return rewriter.finish()
    },
  }
}

/** True if a value is the result of an op that the runtime evaluates once, when weights are loaded, or is a weight. */
export const isLoaded = (value: Value): boolean =>
  value.op === 'weight' || (value.op !== 'input' && opNamed(value.op).traits.includes('load'))

// How passes change graphs. A Rewriter reads a graph through handles, appends nodes, and lets values stand for others;
// `finish` makes the new graph in one immer draft, so that everything untouched is shared with the old one.
import { Immer } from 'immer'
import { invariant } from '../ir/diagnostic.ts'
import { freezeNode, type Graph, type Node, nodeOf, typeOf, type ValueId } from '../ir/graph.ts'
import { inferTypes, orderOperands, parseAttrs } from '../ir/infer.ts'
import { type OpDefinition, opNamed } from '../ir/op.ts'
import { printType, sameType, type TensorType } from '../ir/type.ts'
import { type GraphEditor, Value } from '../ir/value.ts'

/** Nodes and types are frozen where they are made, the tables in `finish`: immer need not look through all of them. */
const { produce } = new Immer({ autoFreeze: false })

export class Rewriter implements GraphEditor {
  readonly graph: Graph
  /** value → the node that computes it */
  readonly #madeBy = new Map<ValueId, Node>()
  /** value → ids of the nodes that read it, once for every reading */
  readonly #readers = new Map<ValueId, ValueId[]>()
  readonly #outputs = new Map<string, ValueId>()
  readonly #outputUses = new Map<ValueId, number>()
  /** types of appended values */
  readonly #types = new Map<ValueId, TensorType>()
  /** nodes that were appended, or that read something else now */
  readonly #changed = new Map<ValueId, Node>()
  readonly #removed = new Set<ValueId>()
  /** old node → nodes appended at its place, before it */
  readonly #inserted = new Map<ValueId, ValueId[]>()
  /** appended node → the old node that it stands at */
  readonly #anchors = new Map<ValueId, ValueId>()
  /** old node → its place in the order; filled when first asked for */
  readonly #positions = new Map<ValueId, number>()
  /** new value → the old id it takes over: an id survives every rewrite of its value */
  readonly #successors = new Map<ValueId, ValueId>()
  /** appended by the rule at work: what they read of a value is that value, whatever replaces it */
  readonly #fresh = new Set<ValueId>()
  #at: ValueId | undefined
  #next: number | undefined
  #edited = false

  constructor(graph: Graph) {
    this.graph = graph
    for (const { name, value } of graph.outputs) this.#setOutput(name, value)
    for (const id of graph.order) {
      const node = nodeOf(graph, id)
      this.#own(node)
      this.#read(node)
    }
  }

  // ---- reading -------------------------------------------------------------------------------------------------------

  typeOf(id: ValueId): TensorType {
    return this.#types.get(id) ?? typeOf(this.graph, id)
  }

  nodeOf(id: ValueId): Node | undefined {
    return this.#madeBy.get(id)
  }

  #own(node: Node): void {
    for (const out of node.out) this.#madeBy.set(out, node)
  }

  /** How often a value is read, by nodes and as an output. */
  usesOf(id: ValueId): number {
    return (this.#readers.get(id)?.length ?? 0) + (this.#outputUses.get(id) ?? 0)
  }

  value(id: ValueId): Value {
    return new Value(this, id)
  }

  /** The nodes that read a value, as it stands now. */
  readersOf(id: ValueId): Node[] {
    return [...new Set(this.#readers.get(id))].map((reader) => this.#node(reader))
  }

  /** Place of a node in the order; of an input or weight, before everything. */
  positionOf(id: ValueId): number {
    const node = this.nodeOf(id)
    return node ? this.#position(node.id) : -1
  }

  #position(node: ValueId): number {
    if (this.#positions.size === 0) for (const [i, id] of this.graph.order.entries()) this.#positions.set(id, i)
    const anchor = this.#anchors.get(node)
    return anchor === undefined ? this.#positions.get(node)! : this.#positions.get(anchor)! - 0.5
  }

  /** True if an op updates this version of a state: it must not be read after that. */
  isUpdated(state: Value): boolean {
    return this.readersOf(state.id).some((node) =>
      Object.values(opNamed(node.op).aliases).some((operand) => node.in[operand] === state.id),
    )
  }

  /**
   * The node before which one node that reads `operands` and computes all of `roots` can stand, so that it comes after
   * what it reads and before what reads it; undefined if there is no such place.
   */
  placeFor(roots: readonly Value[], operands: readonly Value[]): ValueId | undefined {
    const inside = new Set(roots.map(({ id }) => this.nodeOf(id)!.id))
    let [place, position] = [undefined as ValueId | undefined, Number.POSITIVE_INFINITY]
    const readers = roots.flatMap(({ id }) => this.#readers.get(id) ?? []).filter((id) => !inside.has(id))
    for (const id of readers.length ? readers : inside) {
      const at = this.#position(id)
      if (readers.length ? at < position : position === Number.POSITIVE_INFINITY || at > position)
        [place, position] = [id, at]
    }
    return operands.every(({ id }) => this.positionOf(id) < position) ? place : undefined
  }

  /** The nodes of the old graph that still stand, in order; what is appended meanwhile stands before the one at hand. */
  *nodes(): Iterable<Node> {
    for (const id of this.graph.order) {
      if (this.#removed.has(id)) continue
      this.#at = id
      this.#fresh.clear()
      yield this.#node(id)
    }
  }

  /** First results of the nodes of some ops, as `nodes` gives them. */
  *valuesOf(...ops: readonly string[]): Iterable<Value> {
    for (const node of this.nodes()) if (ops.includes(node.op)) yield this.value(node.id)
  }

  // ---- writing -------------------------------------------------------------------------------------------------------

  /** Lets what is appended next stand before this node, until the next one is visited. */
  standBefore(id: ValueId): void {
    this.#at = id
  }

  append(
    op: OpDefinition,
    operands: Record<string, Value | undefined>,
    attrs: Record<string, unknown>,
    label?: string,
  ): Value[] {
    const given = orderOperands(op, operands)
    const [inputs, inputTypes]: [Record<string, ValueId>, Record<string, TensorType>] = [{}, {}]
    for (const name in given) {
      inputs[name] = given[name]!.id
      inputTypes[name] = given[name]!.type
    }
    const parsed = parseAttrs(op, attrs)
    const types = inferTypes(op, inputTypes, parsed)
    const out = types.map(() => this.#freshId())
    const node: Node = { id: out[0]!, op: op.name, in: inputs, attrs: parsed, out, ...(label ? { label } : {}) }
    for (const [i, id] of out.entries()) this.#types.set(id, types[i]!)
    this.#own(node)
    this.#changed.set(node.id, node)
    this.#fresh.add(node.id)
    this.#read(node)
    invariant(this.#at, 'a pass appends nodes while it visits nodes')
    this.#insert(this.#at, node.id)
    this.#edited = true
    return out.map((id) => new Value(this, id))
  }

  #insert(at: ValueId, id: ValueId): void {
    const anchor = this.#anchors.get(at) ?? at
    this.#anchors.set(id, anchor)
    const place = this.#inserted.get(anchor)
    if (place) place.push(id)
    else this.#inserted.set(anchor, [id])
  }

  #freshId(): ValueId {
    if (this.#next === undefined) {
      this.#next = 0
      for (const id in this.graph.types) {
        const number = Number(id.slice(1)) // NaN for names
        if (number >= this.#next && id.startsWith('%')) this.#next = Math.floor(number) + 1
      }
    }
    return `%${this.#next++}`
  }

  /**
   * Lets `by` stand wherever `old` was read, save in the nodes that the rule at work appended. A node made for it takes
   * over the id and label of the old one.
   */
  replace(old: Value, by: Value): void {
    if (old.id === by.id) return
    invariant(
      sameType(old.type, by.type),
      `${old.id}: ${printType(old.type)} cannot be replaced by ${printType(by.type)}`,
    )
    for (const reader of this.readersOf(old.id)) {
      if (this.#fresh.has(reader.id) || reader.out.includes(by.id)) continue // `by` may be computed from `old`
      this.#update(reader, { ...reader, in: mapValues(reader.in, (id) => (id === old.id ? by.id : id)) })
    }
    if (this.#outputUses.get(old.id))
      for (const [name, value] of this.#outputs) if (value === old.id) this.#setOutput(name, by.id)
    this.#inherit(old.id, by.id)
    this.#edited = true
    this.#sweep(old.id)
  }

  #setOutput(name: string, value: ValueId): void {
    const former = this.#outputs.get(name)
    if (former !== undefined) this.#outputUses.set(former, this.#outputUses.get(former)! - 1)
    this.#outputs.set(name, value)
    this.#outputUses.set(value, (this.#outputUses.get(value) ?? 0) + 1)
  }

  #inherit(old: ValueId, by: ValueId): void {
    const successor = this.nodeOf(by)
    const former = this.graph.types[old] ? old : this.#successors.get(old)
    if (!successor || this.graph.types[by] || !former || this.#successors.has(by)) return
    this.#successors.set(by, former)
    const label = this.nodeOf(old)?.label
    if (label && !successor.label) this.#update(successor, { ...successor, label })
  }

  #update(before: Node, after: Node): void {
    this.#unread(before)
    this.#read(after)
    this.#changed.set(after.id, after)
    this.#own(after)
  }

  #read(node: Node): void {
    for (const name in node.in) {
      const id = node.in[name]!
      const readers = this.#readers.get(id)
      if (readers) readers.push(node.id)
      else this.#readers.set(id, [node.id])
    }
  }

  #unread(node: Node): void {
    for (const name in node.in) {
      const readers = this.#readers.get(node.in[name]!)!
      readers.splice(readers.indexOf(node.id), 1)
    }
  }

  /** Removes the node of a value that nothing reads any more, and what only it read. */
  #sweep(id: ValueId): void {
    const unread = [id]
    for (let next = unread.pop(); next !== undefined; next = unread.pop()) {
      const node = this.nodeOf(next)
      if (!node || this.#removed.has(node.id) || node.out.some((out) => this.usesOf(out) > 0)) continue
      this.#removed.add(node.id)
      this.#unread(node)
      this.#edited = true
      for (const name in node.in) unread.push(node.in[name]!)
    }
  }

  /** Removes every node whose results nothing reads, and every weight. */
  sweepDead(): void {
    for (let i = this.graph.order.length - 1; i >= 0; i--) this.#sweep(this.graph.order[i]!)
    if (this.graph.weights.some((id) => this.usesOf(id) === 0)) this.#edited = true
  }

  // ---- the new graph -------------------------------------------------------------------------------------------------

  /** The new graph; the old one itself if nothing changed. */
  finish(): Graph {
    if (!this.#edited) return this.graph
    for (const added of [...this.#inserted.values()].flat().reverse()) this.#sweep(added) // of rules that gave up
    const successors = new Map<ValueId, ValueId>()
    for (const [by, old] of this.#successors) {
      const former = this.nodeOf(old)
      if (former && this.#removed.has(former.id) && !this.#removed.has(this.nodeOf(by)!.id)) successors.set(by, old)
    }
    const renamed = (id: ValueId) => successors.get(id) ?? id
    const order = this.#sorted().map(renamed)
    const outputs = this.graph.outputs.map(({ name }) => ({ name, value: renamed(this.#outputs.get(name)!) }))
    const graph = produce(this.graph, (draft) => {
      const { nodes, types } = draft
      for (const id of this.#removed) {
        for (const out of this.graph.nodes[id]?.out ?? []) delete types[out]
        delete nodes[id]
      }
      for (const [id, node] of this.#changed) {
        if (this.#removed.has(id)) continue
        const out = node.out.map(renamed)
        const moved = freezeNode({ ...node, id: out[0]!, in: mapValues(node.in, renamed), out })
        nodes[moved.id] = moved as (typeof nodes)[string]
        for (const [i, result] of node.out.entries())
          types[out[i]!] = Object.freeze(this.typeOf(result)) as (typeof types)[string]
      }
      draft.order = Object.freeze(order) as ValueId[]
      draft.outputs = outputs
      const unread = this.graph.weights.filter((id) => this.usesOf(id) === 0)
      if (unread.length) draft.weights = this.graph.weights.filter((id) => this.usesOf(id) > 0)
      for (const id of unread) delete types[id]
    })
    for (const part of Object.values(graph)) Object.freeze(part)
    return Object.freeze(graph)
  }

  #node(id: ValueId): Node {
    return this.#madeBy.get(id)!
  }

  /**
   * A stable topological order: each node as early as it stood, but after what it reads, and an update of a state after
   * the other readers of its old version.
   */
  #sorted(): ValueId[] {
    const order: ValueId[] = []
    const [done, open] = [new Set<ValueId>(), new Set<ValueId>()]
    const place = (root: ValueId): void => {
      for (let stack = [root]; stack.length; ) {
        const id = stack.at(-1)!
        const pending = done.has(id) ? undefined : this.#pending(this.#node(id), done)
        if (pending) {
          const cycle = pending.some((before) => open.has(before))
          invariant(!cycle, `a rewrite of @${this.graph.name} makes ${id} read itself`)
          open.add(id)
          stack.push(...pending.reverse())
          continue
        }
        stack.pop()
        open.delete(id)
        if (!done.has(id)) order.push(id)
        done.add(id)
      }
    }
    for (const id of this.graph.order) {
      const inserted = this.#inserted.get(id)
      if (inserted) for (const added of inserted) if (!this.#removed.has(added)) place(added)
      if (!this.#removed.has(id)) place(id)
    }
    return order
  }

  /** The nodes that must come before a node and are not done; undefined if there are none. */
  #pending(node: Node, done: ReadonlySet<ValueId>): ValueId[] | undefined {
    let pending: ValueId[] | undefined
    const add = (id: ValueId) => {
      if (done.has(id)) return
      pending ??= []
      pending.push(id)
    }
    for (const name in node.in) {
      const maker = this.nodeOf(node.in[name]!)
      if (maker) add(maker.id)
    }
    const { aliases } = opNamed(node.op)
    for (const result in aliases)
      for (const reader of this.#readers.get(node.in[aliases[result]!]!) ?? []) if (reader !== node.id) add(reader)
    return pending
  }
}

const mapValues = (record: Readonly<Record<string, string>>, f: (value: string) => string): Record<string, string> => {
  const mapped: Record<string, string> = {}
  for (const key in record) mapped[key] = f(record[key]!)
  return mapped
}

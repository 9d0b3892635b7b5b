// Graph → Program: kernels chosen, sources named, calls in order, every buffer placed. Pure: no device, the same program
// every time.
import { invariant } from '../ir/diagnostic.ts'
import { type Graph, type Node, nodesOf, typeOf, type ValueId } from '../ir/graph.ts'
import { opNamed } from '../ir/op.ts'
import type { Target } from '../ir/target.ts'
import { type Bindings, byteSize, elementCount, type TensorType } from '../ir/type.ts'
import { weightLayout } from '../ir/weight-layout.ts'
import { markEarly } from './early-launch.ts'
import { evaluate } from './extent.ts'
import type { Defines, KernelSpec, Params, Site } from './kernel.ts'
import { kernelSpecs } from './kernels/index.ts'
import { type Lifetime, planMemory } from './memory-plan.ts'
import type { BufferKind, CallArg, KernelCall, KernelSource, Program, ProgramBuffer } from './program.ts'
import {
  type Choice,
  chooseKernel,
  copyBelowViews,
  expandUnserved,
  isDense,
  isLoad,
  noKernel,
  selectKernels,
  type Tuned,
  takesLayout,
  viewOps,
} from './select.ts'
import { targetDefines } from './target-defines.ts'
import { isContiguous, type View, viewsOf, wholeView } from './view.ts'
import { toPlanesSource } from './weight-source.ts'

interface ProgramOptions {
  readonly target: Target
  /** largest value of each symbol of the graph */
  readonly limits: Bindings
  readonly specs?: readonly KernelSpec[]
  readonly tuned?: Tuned
  /** threads of every block, so that the kernels can be stages of one launch; default: each kernel's own choice */
  readonly block?: number
}

export function compileProgram(source: Graph, options: ProgramOptions): Program {
  return new ProgramBuilder(source, options).build()
}

class ProgramBuilder {
  readonly #graph: Graph
  readonly #options: ProgramOptions
  readonly #specs: readonly KernelSpec[]
  readonly #views: Map<ValueId, View>
  readonly #calls: KernelCall[] = []
  readonly #kernels = new Map<string, { source: KernelSource; entries: Set<string> }>()
  /** template and defines, as a spec lists them → id of the source */
  readonly #sources = new Map<string, string>()
  readonly #buffers = new Map<string, ProgramBuffer>()
  readonly #touched = new Map<string, { from: number; to: number }>()
  /** state result → the state input whose memory it is */
  readonly #alias = new Map<ValueId, ValueId>()

  constructor(source: Graph, options: ProgramOptions) {
    this.#options = options
    this.#specs = options.specs ?? kernelSpecs
    this.#graph = copyBelowViews(expandUnserved(source, this.#specs, options.target, options.block))
    this.#views = viewsOf(this.#graph, viewOps())
  }

  build(): Program {
    const { target, limits, tuned } = this.#options
    this.#placeGiven()
    for (const choice of selectKernels(this.#graph, this.#specs, target, this.#views, tuned, this.#options.block))
      this.#call(choice)
    const outputs = this.#graph.outputs.map(({ name, value }) => this.#output(name, value))
    const arenaBytes = this.#placeArena()
    return {
      name: this.#graph.name,
      graph: this.#graph,
      target,
      limits,
      kernels: [...this.#kernels.values()].map(({ source, entries }) => ({ ...source, entries: [...entries] })),
      conversions: this.#conversions(),
      calls: markEarly(this.#calls, (call) => this.#kernels.get(call.source)!.source.template, target),
      buffers: Object.fromEntries(this.#buffers),
      arenaBytes,
      outputs,
    }
  }

  /** Inputs, states and weights: memory that others own. Merged weights are the concatenated parts. */
  #placeGiven(): void {
    const graph = this.#graph
    for (const id of graph.inputs) this.#add(id, typeOf(graph, id), typeOf(graph, id).state ? 'state' : 'input')
    const merged = nodesOf(graph).filter(isLoad)
    const readByNodes = new Set(
      nodesOf(graph)
        .filter((node) => !isLoad(node))
        .flatMap((node) => Object.values(node.in)),
    )
    for (const { value } of graph.outputs) readByNodes.add(value)
    const parts = new Map<ValueId, ValueId[]>(graph.weights.map((id) => [id, [id]]))
    for (const node of merged) {
      invariant(node.op === 'concat_rows', `the loader cannot evaluate ${node.op}`)
      parts.set(
        node.id,
        Object.values(node.in).flatMap((id) => parts.get(id)!),
      )
    }
    for (const [id, weights] of parts) {
      if (!readByNodes.has(id)) continue
      let offset = 0
      const placed = weights.map((weight) => {
        const type = typeOf(graph, weight)
        const layout = weightLayout(type, this.#options.target)
        const part = { weight: weight.slice(1), type, offset, bytes: byteSize(type), layout }
        offset += part.bytes
        return part
      })
      this.#buffers.set(id, { id, kind: 'weight', type: typeOf(graph, id), bytes: offset, parts: placed })
    }
  }

  #conversions(): KernelSource[] {
    const parts = [...this.#buffers.values()].flatMap(({ parts = [] }) => parts)
    const dtypes = new Set(parts.filter(({ layout }) => layout === 'planes').map(({ type }) => type.dtype))
    return [...dtypes].map((dtype) => toPlanesSource(dtype, this.#options.target))
  }

  #add(id: string, type: TensorType, kind: BufferKind, bytes = byteSize(type, this.#options.limits)): void {
    this.#buffers.set(id, { id, kind, type, bytes })
  }

  /** The buffer that holds a value: of its base if it is a view, of the state if it is a newer version of one. */
  #bufferOf(id: ValueId): string {
    const base = this.#views.get(id)?.base ?? id
    return this.#alias.get(base) ?? base
  }

  #touch(buffer: string): void {
    const at = this.#calls.length
    const span = this.#touched.get(buffer)
    this.#touched.set(buffer, { from: span?.from ?? at, to: at })
  }

  #call({ node, spec, params, site, copies }: Choice): void {
    const op = opNamed(node.op)
    const operands: Record<string, string> = {}
    const views: Record<string, View> = { ...site.views }
    for (const [name, id] of Object.entries(node.in)) {
      operands[name] = this.#bufferOf(id)
      if (copies ? isDense(site, name) : takesLayout(spec, name, site)) continue
      operands[name] = this.#copied(node, id, site.views[name]!)
      views[name] = wholeView(operands[name]!, site.types[name]!.shape)
    }
    for (const [i, name] of op.results.entries()) {
      const out = node.out[i]!
      const state = op.aliases[name]
      if (state) this.#alias.set(out, operands[state]!)
      else {
        this.#add(out, typeOf(this.#graph, out), 'arena')
        operands[name in node.in ? `${name}_out` : name] = out
      }
    }
    this.#emit(node, spec, params, { ...site, views }, operands)
  }

  /** A row-major copy of a view, for a kernel that takes no other layout; one copy serves all its readers. */
  #copied(node: Node, id: ValueId, view: View): string {
    const copy = `${id}.copy`
    if (this.#buffers.has(copy)) return copy
    const type = typeOf(this.#graph, id)
    const site: Site = { op: 'contiguous', types: { x: type, y: type }, attrs: {}, views: { x: view } }
    const found = chooseKernel(this.#specs, site, this.#options.target, this.#options.tuned, this.#options.block)
    if ('tried' in found) return noKernel(this.#graph, node, found.tried, this.#options.target)
    this.#add(copy, type, 'arena')
    this.#emit(node, found.spec, found.params, site, { x: this.#bufferOf(id), y: copy })
    return copy
  }

  #emit(node: Node, spec: KernelSpec, params: Params, site: Site, operands: Record<string, string>): void {
    const { target, limits } = this.#options
    const source = this.#source(spec, params, site)
    for (const [name, bytes] of Object.entries(spec.scratch(params, site, target))) {
      const id = `${node.id}.${name}`
      operands[name] = id
      this.#buffers.set(id, { id, kind: 'arena', type: { dtype: 'u8', shape: [] }, bytes: evaluate(bytes, limits) })
    }
    for (const [name, extent] of Object.entries(spec.counters(params, site, target))) {
      const id = `counters.${name}`
      operands[name] = id
      const bytes = Math.max(evaluate(extent, limits), this.#buffers.get(id)?.bytes ?? 0)
      this.#buffers.set(id, { id, kind: 'counters', type: { dtype: 'u8', shape: [] }, bytes })
    }
    const scalars = spec.scalars(site)
    const cost = spec.cost(site)
    for (const [i, stage] of spec.stages.entries()) {
      const args = stage.args.map((name): CallArg => {
        const buffer = operands[name]
        if (buffer !== undefined) return { kind: 'buffer', name, buffer }
        if (name in site.types || scalars[name] === undefined) return { kind: 'buffer', name, buffer: absent }
        return { kind: 'scalar', name, value: scalars[name] }
      })
      for (const arg of args) if (arg.kind === 'buffer' && arg.buffer !== absent) this.#touch(arg.buffer)
      this.#kernels.get(source)!.entries.add(stage.entry)
      const { grid, block, ldsBytes } = stage.launch(params, site, target)
      this.#calls.push({
        node: node.id,
        op: node.op,
        ...(node.label ? { label: node.label } : {}),
        kernel: spec.name,
        params,
        source,
        entry: stage.entry,
        args,
        grid,
        block,
        ldsBytes: ldsBytes ?? 0,
        cost: i === 0 ? cost : { bytes: 0, flops: 0 },
      })
    }
  }

  #source(spec: KernelSpec, params: Params, site: Site): string {
    const { target } = this.#options
    const defines: Defines = { ...targetDefines(target), ...spec.fixed(site, target), ...params }
    let said = spec.template // equal layers say the same in the same order: sorting is for the first
    for (const name in defines) said += ` ${name}=${defines[name]}`
    const known = this.#sources.get(said)
    if (known !== undefined) return known
    const sorted = Object.fromEntries(Object.entries(defines).sort(([a], [b]) => (a < b ? -1 : 1)))
    const list = Object.entries(sorted).map(([name, value]) => `-D${name}=${value}`)
    const id = `${spec.template} ${list.join(' ')}`
    this.#sources.set(said, id)
    if (!this.#kernels.has(id))
      this.#kernels.set(id, {
        source: {
          id,
          template: spec.template,
          defines: sorted,
          entries: [],
          site: { kernel: spec.name, params, site: named(site) },
        },
        entries: new Set(),
      })
    return id
  }

  /** An output gets memory of its own, so that it outlives the arena's next use. */
  #output(name: string, value: ValueId): Program['outputs'][number] {
    const type = typeOf(this.#graph, value)
    const view = this.#views.get(value)
    let buffer = this.#bufferOf(value)
    if (
      view &&
      view.base !== value &&
      !(
        isContiguous(view, type.shape) &&
        view.offset === 0 &&
        elementCount(type, this.#options.limits) === this.#elementsOf(buffer)
      )
    ) {
      const reader: Node = this.#graph.nodes[value]!
      buffer = this.#copied(reader, value, view)
    }
    const held = this.#buffers.get(buffer)
    invariant(held, `output ${name} has no buffer`)
    if (held.kind === 'arena') this.#buffers.set(buffer, { ...held, kind: 'output' })
    return { name, buffer, type }
  }

  #elementsOf(buffer: string): number {
    return elementCount(this.#buffers.get(buffer)!.type, this.#options.limits)
  }

  #placeArena(): number {
    const lifetimes: Lifetime[] = []
    for (const { id, kind, bytes } of this.#buffers.values()) {
      const span = this.#touched.get(id)
      if (kind === 'arena' && span) lifetimes.push({ id, bytes, ...span })
    }
    const { offsets, bytes } = planMemory(lifetimes)
    for (const [id, offset] of offsets) this.#buffers.set(id, { ...this.#buffers.get(id)!, offset })
    return bytes
  }
}

/** Layouts name the operand, not the value of one graph: equal uses of a kernel are equal. */
const named = (site: Site): Site => ({
  ...site,
  views: Object.fromEntries(Object.entries(site.views).map(([name, view]) => [name, { ...view, base: name }])),
})

/** Stands for an optional operand that is not there: a null pointer. */
export const absent = ''

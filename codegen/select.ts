// Which kernel computes which node: the first spec that serves the site, with the first parameters that are valid, unless
// tuning knows better. A fused op that no kernel takes is replaced by its expansion.

import { GraphBuilder } from '../ir/builder.ts'
import { fail, invariant } from '../ir/diagnostic.ts'
import { describeNode, type Graph, type Node, nodesOf, typeOf, type ValueId } from '../ir/graph.ts'
import { printSignature } from '../ir/infer.ts'
import { allOps, opNamed } from '../ir/op.ts'
import { contiguous } from '../ir/ops/index.ts'
import type { Target } from '../ir/target.ts'
import { targetId } from '../ir/target.ts'
import { printType, type TensorType } from '../ir/type.ts'
import { Value } from '../ir/value.ts'
import type { KernelSpec, Params, Site } from './kernel.ts'
import { isContiguous, isDenseRepeated, isRowStrided, type View, viewsOf, wholeView } from './view.ts'

/** A node, the kernel chosen for it, and how. */
export interface Choice {
  readonly node: Node
  readonly spec: KernelSpec
  readonly params: Params
  readonly site: Site
  /** no kernel takes the operands where they lie: those that are views are copied first */
  readonly copies: boolean
}

/** What tuning found best for a kernel at a site on a target; undefined where it knows nothing. */
export type Tuned = (spec: KernelSpec, site: Site, target: Target) => Params | undefined

export const viewOps = (): ReadonlySet<string> =>
  new Set(
    allOps()
      .filter((op) => op.traits.includes('view'))
      .map((op) => op.name),
  )
export const isLoad = (node: Node): boolean => opNamed(node.op).traits.includes('load')

/** The site of a node: types and layouts by operand and result name. */
function siteOf(graph: Graph, node: Node, views: ReadonlyMap<ValueId, View>): Site {
  const op = opNamed(node.op)
  const types: Record<string, TensorType> = {}
  const layouts: Record<string, View> = {}
  for (const [name, id] of Object.entries(node.in)) {
    types[name] = typeOf(graph, id)
    layouts[name] = views.get(id)!
  }
  // a result that updates a state is the state operand itself
  for (const [i, name] of op.results.entries()) if (!(name in types)) types[name] = typeOf(graph, node.out[i]!)
  for (const [i, name] of op.results.entries())
    if (!op.aliases[name] && name in node.in) types[`${name}_out`] = typeOf(graph, node.out[i]!)
  return { op: node.op, types, attrs: node.attrs, views: layouts }
}

/** All values of the parameters, the best guess of each first; `block` stands for all of P_BLOCK. */
export function* paramSpace(spec: KernelSpec, target: Target, site: Site, block?: number): Iterable<Params> {
  const names = Object.entries(spec.space(target, site)).map(([name, values]): [string, readonly number[]] =>
    name === 'P_BLOCK' && block !== undefined ? [name, [block]] : [name, values],
  )
  const indices = names.map(() => 0)
  for (;;) {
    yield Object.fromEntries(names.map(([name, values], i) => [name, values[indices[i]!]!]))
    let at = names.length - 1
    while (at >= 0 && ++indices[at]! >= names[at]![1].length) indices[at--] = 0
    if (at < 0) return
  }
}

/** The kernel for a site, or the reasons why there is none. */
export function chooseKernel(
  specs: readonly KernelSpec[],
  site: Site,
  target: Target,
  tuned?: Tuned,
  block?: number,
): { spec: KernelSpec; params: Params } | { tried: [string, string][] } {
  const tried: [string, string][] = []
  for (const spec of specs) {
    if (spec.implements !== site.op) continue
    const served = spec.serves(site, target)
    if (served !== true) {
      tried.push([spec.name, served])
      continue
    }
    const known = tuned?.(spec, site, target)
    const fits = known && (block === undefined || known.P_BLOCK === block)
    if (fits && spec.valid(known, target, site) === true) return { spec, params: known }
    let reason = 'has no parameters to try'
    for (const params of paramSpace(spec, target, site, block)) {
      const valid = spec.valid(params, target, site)
      if (valid === true) return { spec, params }
      reason = valid
    }
    tried.push([spec.name, reason])
  }
  return { tried }
}

/** True if the operand lies in memory as its type says, from the start of its buffer. */
export function isDense({ views, types }: Site, name: string): boolean {
  return isContiguous(views[name]!, types[name]!.shape) && views[name]!.offset === 0
}

/** True if the spec takes this operand's layout as it is. */
export function takesLayout(spec: KernelSpec, name: string, site: Site): boolean {
  const [view, type] = [site.views[name]!, site.types[name]!]
  if (isDense(site, name)) return true
  if (!spec.strided.includes(name)) return false
  if (spec.implements === 'contiguous') return true // it is there to read any layout
  return view.groups > 1 ? isDenseRepeated(view, type.shape) : isRowStrided(view, type.shape)
}

const wholeViews = ({ types, views }: Site): Site['views'] =>
  Object.fromEntries(Object.entries(views).map(([name, { base }]) => [name, wholeView(base, types[name]!.shape)]))

/** Replaces fused ops that no kernel serves by their expansion, until a kernel serves everything or nothing helps. */
export function expandUnserved(graph: Graph, specs: readonly KernelSpec[], target: Target, block?: number): Graph {
  for (let depth = 0; depth < 8; depth++) {
    const views = viewsOf(graph, viewOps())
    const unserved = new Set<ValueId>()
    for (const node of nodesOf(graph)) {
      const op = opNamed(node.op)
      if (!op.expand || op.traits.includes('view')) continue
      const site = siteOf(graph, node, views)
      const served = [site, { ...site, views: wholeViews(site) }].some(
        (at) => 'spec' in chooseKernel(specs, at, target, undefined, block),
      )
      if (!served) unserved.add(node.id)
    }
    if (unserved.size === 0) return graph
    graph = inline(graph, unserved)
  }
  return graph
}

const inline = (graph: Graph, expand: ReadonlySet<ValueId>): Graph =>
  rebuild(graph, (builder, node, operands) =>
    expand.has(node.id)
      ? builder.within(node.label ?? node.op, () => opNamed(node.op).expand!(operands, node.attrs))
      : undefined,
  )

/**
 * Lets a view begin anew on a copy where no layout can express it on top of the views below: a reshape of what was
 * transposed, a transposition of repeated heads.
 */
export function copyBelowViews(graph: Graph): Graph {
  const seen = viewOps()
  const views = viewsOf(graph, seen)
  const stuck = new Set(graph.order.filter((id) => seen.has(graph.nodes[id]!.op) && views.get(id)!.base === id))
  if (stuck.size === 0) return graph
  return rebuild(graph, (builder, node, operands) => {
    if (!stuck.has(node.id)) return undefined
    const x = contiguous({ x: operands.x! }, {}, node.label)
    return builder.appendAs(node.out, opNamed(node.op), { x }, node.attrs, node.label)
  })
}

/** The graph with some nodes made anew by `make`; it returns undefined for nodes that stay. Ids stay where nodes do. */
function rebuild(
  graph: Graph,
  make: (builder: GraphBuilder, node: Node, operands: Record<string, Value>) => readonly Value[] | undefined,
): Graph {
  const builder = new GraphBuilder(graph.name)
  const now = new Map<ValueId, ValueId>()
  const value = (id: ValueId) => new Value(builder, now.get(id) ?? id)
  for (const id of graph.inputs) builder.input(id.slice(1), typeOf(graph, id))
  for (const id of graph.weights) builder.weight(id.slice(1), typeOf(graph, id).dtype, typeOf(graph, id).shape)
  builder.reserve(Object.keys(graph.types))
  for (const node of nodesOf(graph)) {
    const operands = Object.fromEntries(Object.entries(node.in).map(([name, id]) => [name, value(id)]))
    const made = make(builder, node, operands)
    if (made) for (const [i, id] of node.out.entries()) now.set(id, made[i]!.id)
    else builder.appendAs(node.out, opNamed(node.op), operands, node.attrs, node.label)
  }
  for (const output of graph.outputs) builder.output(output.name, value(output.value))
  return builder.build()
}

/** A Diagnostic that says what was tried: part of the user's understanding of the compiler. */
export function noKernel(graph: Graph, node: Node, tried: [string, string][], target: Target): never {
  const operands = Object.fromEntries(Object.entries(node.in).map(([name, id]) => [name, typeOf(graph, id)]))
  const results = node.out.map((id) => printType(typeOf(graph, id))).join(', ')
  return fail({
    code: 'no-kernel',
    message: `no kernel can run \`${node.op}\` on these types`,
    facts: [
      ['at', describeNode(graph, node)],
      ['op', `${printSignature(node.op, operands)} -> ${results}`],
      ['target', targetId(target)],
      ...tried.map(([name, why]): [string, string] => ['tried', `${name}: ${why}`]),
      ...(tried.length ? [] : [['tried', 'nothing: no kernel implements this op'] as [string, string]]),
    ],
    help: 'choose a dtype that a kernel serves, or add a spec in codegen/kernels',
  })
}

/** Kernel choices for every node that needs one, in order. */
export function selectKernels(
  graph: Graph,
  specs: readonly KernelSpec[],
  target: Target,
  views: ReadonlyMap<ValueId, View>,
  tuned?: Tuned,
  block?: number,
): Choice[] {
  const seen = viewOps()
  const choices: Choice[] = []
  for (const node of nodesOf(graph)) {
    if (isLoad(node)) continue
    const view = views.get(node.id)
    invariant(view, `value ${node.id} has no layout`)
    if (seen.has(node.op) && view.base !== node.id) continue
    const site = siteOf(graph, node, views)
    const found = chooseKernel(specs, site, target, tuned, block)
    if (!('tried' in found)) {
      choices.push({ node, site, copies: false, ...found })
      continue
    }
    const dense = chooseKernel(specs, { ...site, views: wholeViews(site) }, target, tuned, block)
    if ('tried' in dense) noKernel(graph, node, found.tried, target)
    else choices.push({ node, site, copies: true, ...dense })
  }
  return choices
}

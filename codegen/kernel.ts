// A kernel spec is the machine's half of a kernel's contract: which op and dtypes it serves, its template, its
// parameters with their space, its launch geometry and cost. The other half is the header of the template.
import { invariant } from '../ir/diagnostic.ts'
import type { Attrs } from '../ir/graph.ts'
import type { Target } from '../ir/target.ts'
import type { TensorType } from '../ir/type.ts'
import type { Extent } from './extent.ts'
import type { View } from './view.ts'

/** `-D` values: numbers print with enough digits, strings as they are. */
export type Defines = Readonly<Record<string, number | string>>
export type Params = Readonly<Record<string, number>>

/** One application of an op, as a spec sees it. Operands and results share one record: names never collide. */
export interface Site {
  readonly op: string
  /** types of operands present and of results (`y` for an op with one) */
  readonly types: Readonly<Record<string, TensorType>>
  readonly attrs: Attrs
  /** layout of each operand in its buffer; contiguous unless the spec lists the operand as `strided` */
  readonly views: Readonly<Record<string, View>>
}

export interface Launch {
  /** blocks, x only; may depend on T, R, L */
  readonly grid: Extent
  /** threads in a block */
  readonly block: number
  /** dynamic LDS */
  readonly ldsBytes?: number
}

/** One launch. An op is usually one stage. */
export interface Stage {
  /** the `extern "C"` symbol */
  readonly entry: string
  /** in the kernel's order: names of results and operands (pointers), of scratch buffers and counters (pointers), or of scalars (i32) */
  readonly args: readonly string[]
  launch(params: Params, site: Site, target: Target): Launch
}

export interface KernelSpec {
  /** unique among specs: `gemv`, `gemm_fma` */
  readonly name: string
  readonly implements: string
  /** file below hip-templates/ */
  readonly template: string
  readonly stages: readonly Stage[]
  /** operands that may be views with a row stride and an offset (the template takes P_* for both) */
  readonly strided: readonly string[]
  /** `true`, or why this kernel cannot take the op with these types */
  serves(site: Site, target: Target): true | string
  /** compile-time constants that follow from the site */
  fixed(site: Site, target: Target): Defines
  /** what the tuner may try, per parameter; the first value is the best guess */
  space(target: Target, site: Site): Readonly<Record<string, readonly number[]>>
  /** `true`, or why these parameters are not allowed */
  valid(params: Params, target: Target, site: Site): true | string
  /** device memory a call needs besides operands and results: name → bytes */
  scratch(params: Params, site: Site, target: Target): Readonly<Record<string, Extent>>
  /**
   * u32 counters by which the blocks of a launch wait for each other or find out who is last: name → bytes. They are zero
   * before every launch, and the launch leaves them so: all launches that name one share its memory.
   */
  counters(params: Params, site: Site, target: Target): Readonly<Record<string, Extent>>
  /** values of the i32 arguments: `{ T: types.x.shape[0] }`, a number in a graph whose T is known */
  scalars(site: Site): Readonly<Record<string, Extent>>
  /** memory moved and arithmetic done, once symbols are bound: for the roofline and the count of bytes moved */
  cost(site: Site): { readonly bytes: Extent; readonly flops: Extent }
  /** allowed relative error against the reference, in units of the output dtype's eps */
  tolerance(site: Site): number
}

/** What `defineKernel` is given. */
export interface KernelDeclaration {
  /** unique among all kernels, lower case; default: the entry */
  readonly name?: string
  /** the op that it computes */
  readonly implements: { readonly definition: { readonly name: string } }
  /** a file below hip-templates/; of a kernel of one's own its absolute path or a file URL */
  readonly template: string
  /** one-stage kernels give entry (default: the op's name), args and launch here … */
  readonly entry?: string
  readonly args?: readonly string[]
  readonly launch?: Stage['launch']
  /** … others list their stages */
  readonly stages?: readonly Stage[]
  readonly strided?: readonly string[]
  readonly serves?: KernelSpec['serves']
  readonly fixed?: KernelSpec['fixed']
  readonly space?: KernelSpec['space']
  readonly valid?: KernelSpec['valid']
  readonly scratch?: KernelSpec['scratch']
  readonly counters?: KernelSpec['counters']
  readonly scalars?: KernelSpec['scalars']
  readonly cost: KernelSpec['cost']
  readonly tolerance: KernelSpec['tolerance']
}

/** Fills in the defaults; the registry is the list in `kernels/index.ts`. */
export function defineKernel(spec: KernelDeclaration): KernelSpec {
  const op = spec.implements.definition.name
  const entry = spec.entry ?? op
  invariant(spec.stages ?? (spec.args && spec.launch), `kernel for ${op} declares neither stages nor args and launch`)
  return {
    name: spec.name ?? entry,
    implements: op,
    template: spec.template,
    stages: spec.stages ?? [{ entry, args: spec.args!, launch: spec.launch! }],
    strided: spec.strided ?? [],
    serves: spec.serves ?? (() => true),
    fixed: spec.fixed ?? (() => ({})),
    space: spec.space ?? (() => ({})),
    valid: spec.valid ?? (() => true),
    scratch: spec.scratch ?? (() => ({})),
    counters: spec.counters ?? (() => ({})),
    scalars: spec.scalars ?? defaultScalars,
    cost: spec.cost,
    tolerance: spec.tolerance,
  }
}

/**
 * T, R and L by where they stand in the types: a symbol where the graph has one, else the number in its place. T leads the
 * first operand of rank ≥ 1; R leads a page table, or logits; L is the last dim of scores; M the last of a page table.
 */
function defaultScalars({ types }: Site): Record<string, Extent> {
  const first = Object.entries(types).find(([name, type]) => type.shape.length > 0 && !type.state && name !== 'y')?.[1]
  const table = types.page_table
  const scores = types.x ?? types.p ?? types.y
  return {
    ...(first ? { T: first.shape[0]!, R: first.shape[0]! } : {}),
    ...(scores?.shape.length ? { L: scores.shape.at(-1)! } : {}),
    ...(table ? { R: table.shape[0]!, M: table.shape[1]! } : {}),
  }
}

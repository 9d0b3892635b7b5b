// Program: everything that runs, as plain data: kernels to compile, calls in order, buffers and their places. It prints;
// it holds no device handle; equal graphs and targets give equal programs.
import type { Graph, ValueId } from '../ir/graph.ts'
import type { Target } from '../ir/target.ts'
import { targetId } from '../ir/target.ts'
import type { Bindings, TensorType } from '../ir/type.ts'
import type { WeightLayout } from '../ir/weight-layout.ts'
import { type Extent, printExtent } from './extent.ts'
import type { Defines, Params, Site } from './kernel.ts'
import type { StageSource } from './stages.ts'

/** One compilation: a template under one list of defines. Equal sources of different calls are one. */
export interface KernelSource {
  /** template and defines, readable: the key within the program */
  readonly id: string
  readonly template: string
  readonly defines: Defines
  /** `extern "C"` symbols that calls use */
  readonly entries: readonly string[]
  /** a use of it, so that the compiled kernel can be checked alone against its op's reference */
  readonly site?: KernelSite
  /** of a step program: the kernels that it holds */
  readonly stages?: readonly StageSource[]
}

/** What one call of a kernel was chosen for: plain data, enough to run the kernel by itself. */
export interface KernelSite {
  /** name of the spec */
  readonly kernel: string
  readonly params: Params
  readonly site: Site
}

export type CallArg =
  /** address of a buffer */
  | { readonly kind: 'buffer'; readonly name: string; readonly buffer: string }
  /** an i32 */
  | { readonly kind: 'scalar'; readonly name: string; readonly value: Extent }

/** One launch. */
export interface KernelCall {
  /** the node of the graph that it computes */
  readonly node: ValueId
  readonly op: string
  readonly label?: string
  /** name of the spec */
  readonly kernel: string
  readonly params: Params
  /** id of its KernelSource */
  readonly source: string
  readonly entry: string
  readonly args: readonly CallArg[]
  readonly grid: Extent
  readonly block: number
  readonly ldsBytes: number
  /** it may be launched before the calls ahead of it are done: it waits for them itself */
  readonly early?: boolean
  /** bytes moved and arithmetic done; 0 for the later stages of a call with several */
  readonly cost: { readonly bytes: Extent; readonly flops: Extent }
}

/** A call as a stage of one launch. */
export interface StageOfStep {
  /** place in the list of `stageEntries` */
  readonly stage: number
  /** a barrier of all blocks follows */
  readonly barrierAfter: boolean
  /** the call whose first weights are prefetched at that barrier */
  readonly prefetches?: number
}

/** The first calls of a program as one launch of resident blocks; those behind them are launches of their own. */
export interface PersistentStep {
  readonly source: string
  readonly entry: string
  readonly block: number
  /** dynamic LDS, the most of any stage */
  readonly ldsBytes: number
  /** arguments in a row of its table */
  readonly args: number
  /** the calls that it holds, from the first on */
  readonly stages: readonly StageOfStep[]
  /** blocks record when they begin and end each call */
  readonly trace?: boolean
}

/** `counters` are zero when a program is loaded and after each of its launches: memory of their own, not the arena's. */
export type BufferKind = 'input' | 'state' | 'weight' | 'arena' | 'output' | 'counters'

export interface ProgramBuffer {
  readonly id: string
  readonly kind: BufferKind
  readonly type: TensorType
  /** bytes at the limits of the program */
  readonly bytes: number
  /** arena only */
  readonly offset?: number
  /** weights only: tensors of the checkpoint that are concatenated in it */
  readonly parts?: readonly {
    readonly weight: string
    readonly type: TensorType
    readonly offset: number
    readonly bytes: number
    /** how its rows lie in memory */
    readonly layout: WeightLayout
  }[]
}

export interface Program {
  readonly name: string
  readonly graph: Graph
  readonly target: Target
  /** largest value of each symbol: what buffers are sized for */
  readonly limits: Bindings
  readonly kernels: readonly KernelSource[]
  /** kernels that bring weights into their layout when they are loaded; no call is theirs */
  readonly conversions: readonly KernelSource[]
  readonly calls: readonly KernelCall[]
  readonly buffers: Readonly<Record<string, ProgramBuffer>>
  readonly arenaBytes: number
  /** output name → the buffer that holds it */
  readonly outputs: readonly { readonly name: string; readonly buffer: string; readonly type: TensorType }[]
  /** calls that are stages of one launch; without it each is a launch of its own */
  readonly persistent?: PersistentStep
}

export const buffersOf = (program: Program, kind: BufferKind): ProgramBuffer[] =>
  Object.values(program.buffers).filter((buffer) => buffer.kind === kind)

/** Everything that has to be compiled. */
export const sourcesOf = ({ kernels, conversions }: Program): KernelSource[] => [...kernels, ...conversions]

/** The text form: one line a call. */
export function printProgram(program: Program): string {
  const { name, target, calls, kernels, arenaBytes, limits } = program
  const bound = Object.entries(limits).map(([symbol, value]) => `${symbol} ≤ ${value}`)
  const lines = calls.map((call, i) => {
    const stage = program.persistent?.stages[i]
    const args = call.args.map((arg) => (arg.kind === 'buffer' ? arg.buffer : `${arg.name}=${printExtent(arg.value)}`))
    const label = call.label ? `  // ${call.label}` : ''
    if (!stage) return `  ${call.entry}<<<${printExtent(call.grid)}, ${call.block}>>>(${args.join(', ')})${label}`
    const prefetch = stage.prefetches === undefined ? '' : `, meanwhile prefetch weights of call ${stage.prefetches}`
    return `  ${i}: ${call.entry}(${args.join(', ')})${label}${stage.barrierAfter ? `\n  barrier${prefetch}` : ''}`
  })
  const launches = program.persistent
    ? `${program.persistent.stages.length} stages, ${program.persistent.stages.filter((stage) => stage.barrierAfter).length} barriers in one launch of blocks of ${program.persistent.block}, ${calls.length - program.persistent.stages.length} launches behind it`
    : `${calls.length} launches of ${kernels.length} kernels`
  return [
    `program @${name} for ${targetId(target)}: ${launches}, arena ${arenaBytes} bytes, ${bound.join(', ')} {`,
    ...lines,
    '}',
  ].join('\n')
}

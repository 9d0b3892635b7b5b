// ModelPlan: the graphs and programs of a model for a target, each made when it is first asked for. Needs no device.
import { z } from 'zod'
import { compileProgram } from '../../codegen/compile.ts'
import type { KernelSpec } from '../../codegen/kernel.ts'
import { withOwnKernels } from '../../codegen/own-kernel.ts'
import { persistentProgram, stepBlock } from '../../codegen/persistent.ts'
import type { Program } from '../../codegen/program.ts'
import { printProgram } from '../../codegen/program.ts'
import { fail } from '../../ir/diagnostic.ts'
import type { Graph } from '../../ir/graph.ts'
import { printGraph } from '../../ir/print.ts'
import { shown } from '../../ir/shown.ts'
import { type Target, targetId } from '../../ir/target.ts'
import type { Bindings } from '../../ir/type.ts'
import { batchFor, batchSizes, type StepGraph, type StepKind, stepKinds } from '../engine/programs.ts'
import type { ModelSource } from '../loader/checkpoint.ts'
import { defaultContext } from '../loader/model-config.ts'
import { type CompileSettings, readOptions } from '../options.ts'
import { StepGraphs } from './step-graphs.ts'

/** `stepTrace`: blocks of a persistent step record when they begin and end each call, for benchmarks. */
interface PlanSettings extends CompileSettings {
  readonly stepTrace?: boolean
}

const printOptions = z.strictObject({
  kind: z.enum(stepKinds).optional().describe('which step'),
  stage: z.enum(['source', 'fused', 'program']).optional().describe('before the passes, after them, or kernels'),
})

/** Diagnostic `bad-argument`. */
function checkStep(kind: unknown, batch: unknown): void {
  if (!(stepKinds as readonly unknown[]).includes(kind))
    fail({
      code: 'bad-argument',
      message: `there is no step ${shown(kind)}`,
      facts: [['steps', stepKinds.join(', ')]],
      help: "graph.print({ kind: 'decode' })",
    })
  if (!(batchSizes as readonly unknown[]).includes(batch))
    fail({
      code: 'bad-argument',
      message: `there is no step for a batch of ${shown(batch)}`,
      facts: [['sizes', batchSizes.join(', ')]],
    })
}

export class ModelPlan {
  readonly context: number
  /** most tokens of a step */
  readonly chunk: number
  /** tokens a page */
  readonly pageSize: number
  /** pages of the KV cache: enough for every request of a full batch */
  readonly pages: number
  /** most pages of a request */
  readonly pagesPerRequest: number
  /** most requests of a decode step */
  readonly maxBatch: number
  /** none: for the reference executor */
  readonly target: Target | undefined
  readonly #settings: PlanSettings
  readonly #graphs: StepGraphs
  readonly #specs: readonly KernelSpec[]
  readonly #programs = new Map<string, Program>()

  /** @internal */
  constructor(
    checkpoint: ModelSource,
    settings: PlanSettings,
    target?: Target,
    graphs = new StepGraphs(checkpoint, settings),
  ) {
    this.#settings = settings
    this.#graphs = graphs
    this.#specs = withOwnKernels(settings.kernels)
    this.target = target
    this.context = settings.context ?? defaultContext(checkpoint.config.contextLength)
    this.chunk = Math.min(settings.chunk, this.context)
    this.pageSize = settings.pageSize
    this.maxBatch = settings.maxBatch
    this.pagesPerRequest = Math.ceil(this.context / settings.pageSize)
    this.pages = this.maxBatch * this.pagesPerRequest
  }

  /** Values of the symbols that never change once the model is loaded. */
  get bindings(): Bindings {
    return { P: this.pages, M: this.pagesPerRequest, R: 1 }
  }

  #graph(kind: StepKind, batch: number): StepGraph {
    checkStep(kind, batch)
    return this.#graphs.get(kind, batch, this.target !== undefined && this.target.platform !== 'host')
  }

  /** The graph as the front end wrote it. */
  source(kind: StepKind = 'decode', batch = 1): Graph {
    return this.#graph(kind, batch).source
  }

  /** The graph after the passes. */
  fused(kind: StepKind = 'decode', batch = 1): Graph {
    return this.#graph(kind, batch).graph
  }

  /**
   * Kernels and launches; of a decode step for `batch` requests (one of `batchSizes`). The reference executor has none:
   * Diagnostic `no-program`.
   */
  program(kind: StepKind = 'decode', batch = 1): Program {
    checkStep(kind, batch)
    const key = `${kind} ${batch}`
    const known = this.#programs.get(key)
    if (known) return known
    if (!this.target)
      return fail({
        code: 'no-program',
        message: 'the reference executor has no program',
        help: 'compile for a device',
      })
    const limits: Bindings = { ...this.bindings, T: this.chunk, L: this.context }
    const graph = this.fused(kind, batch)
    const made =
      kind === 'decode' && this.#settings.step === 'persistent'
        ? this.#persistent(graph, this.target, limits)
        : compileProgram(graph, { target: this.target, limits, specs: this.#specs })
    this.#programs.set(key, made)
    return made
  }

  #persistent(graph: Graph, target: Target, limits: Bindings): Program {
    const block = this.#settings.stepBlock ?? stepBlock(target)
    if (block % target.wave !== 0 || block > target.maxBlock)
      fail({
        code: 'bad-option',
        message: `blocks of ${block} threads are not possible on ${targetId(target)}`,
        facts: [['possible', target.maxBlock === 1 ? '1' : `multiples of ${target.wave} up to ${target.maxBlock}`]],
        help: 'leave stepBlock (--step-block) out: the device has a good one',
      })
    const program = persistentProgram(
      compileProgram(graph, { target, limits, block, specs: this.#specs }),
      this.bindings,
      {
        trace: this.#settings.stepTrace ?? false,
      },
    )
    if (typeof program !== 'string') return program
    return fail({
      code: 'no-persistent-step',
      message: `a step of this model cannot be one launch: ${program}`,
      facts: [['fusion', `-O${this.#settings.optLevel}`]],
      help: 'use --step kernels, or fuse more: attention that is not fused depends on the length of the context',
    })
  }

  /** Every program that serving the model may take. */
  get programs(): Program[] {
    return [
      ...stepKinds.map((kind) => this.program(kind)),
      ...this.largerBatches.map((size) => this.program('decode', size)),
    ]
  }

  /** Sizes of decode steps for several requests. */
  get largerBatches(): readonly number[] {
    return batchSizes.filter((size) => size > 1 && size <= batchFor(this.maxBatch))
  }

  /** The text of a graph (default: the fused one of a decode step), or of its program. */
  print(options: { readonly kind?: StepKind; readonly stage?: 'source' | 'fused' | 'program' } = {}): string {
    const { kind = 'decode', stage = 'fused' } = readOptions(printOptions, options)
    if (stage === 'program') return printProgram(this.program(kind))
    return printGraph(stage === 'source' ? this.source(kind) : this.fused(kind))
  }
}

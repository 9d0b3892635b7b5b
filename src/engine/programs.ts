// The graphs that serving one model takes, all of them one step seen from different sides.
import { invariant } from '../../ir/diagnostic.ts'
import type { Graph } from '../../ir/graph.ts'
import { specialize } from '../../ir/specialize.ts'
import { verify } from '../../ir/verify.ts'
import type { OptLevel, PassRecord } from '../../passes/pass.ts'
import { type OptimiseOptions, optimise } from '../../passes/pipeline.ts'
import type { Checkpoint } from '../loader/checkpoint.ts'
import { lowerStep } from '../models/index.ts'
import type { StepOptions, StepResult } from '../models/step.ts'

/**
 * - `prefill`: a chunk of a prompt that is not its last: no head
 * - `sample`: the last chunk of a prompt: logits and a token
 * - `decode`: the same for one token of each request of a batch, whose every launch is the same at each step
 * - `score`: logits of every token of a chunk
 */
export type StepKind = 'prefill' | 'sample' | 'decode' | 'score'

export const stepKinds = ['prefill', 'sample', 'decode', 'score'] as const satisfies readonly StepKind[]

const results: Record<StepKind, StepResult> = { prefill: 'none', sample: 'token', decode: 'next', score: 'all-logits' }

/** Requests of a decode program: a smaller batch runs in the next larger one, whose other rows are idle. */
export const batchSizes = [1, 2, 4, 8, 16, 32] as const
export const largestBatch = 32

/** Requests of the smallest decode program that has room for `requests`. */
export function batchFor(requests: number): number {
  const size = batchSizes.find((one) => one >= requests)
  invariant(size, `a batch holds up to ${largestBatch} requests, got ${requests}`)
  return size
}

export interface StepGraph {
  /** as the front end wrote it */
  readonly source: Graph
  /** after the passes */
  readonly graph: Graph
}

export function stepGraph(
  checkpoint: Pick<Checkpoint, 'config' | 'weights'>,
  kind: StepKind,
  options: Omit<StepOptions, 'result'>,
  level: OptLevel,
  onPass?: (record: PassRecord) => void,
  batch = 1,
  own: OptimiseOptions = {},
): StepGraph {
  const lowered = lowerStep(checkpoint.config, checkpoint.weights, { ...options, result: results[kind] })
  const name = batch === 1 ? kind : `${kind}_${batch}`
  const source = verify(specialize(lowered, kind === 'decode' ? { R: batch, T: batch } : { R: 1 }, name))
  return { source, graph: optimise(source, level, onPass, own) }
}

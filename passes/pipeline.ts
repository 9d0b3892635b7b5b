// The ordered list of passes, with the reason for each position.
import { fail } from '../ir/diagnostic.ts'
import type { Graph } from '../ir/graph.ts'
import { passChecker } from './check-pass.ts'
import { deadCode } from './dead-code.ts'
import { foldConstants } from './fold-constants.ts'
import { fuseAddRmsNorm } from './fuse-add-rms-norm.ts'
import { fuseAttention } from './fuse-attention.ts'
import { fuseEmbedAppend } from './fuse-embed-append.ts'
import { fuseGateSwiglu } from './fuse-gate-swiglu.ts'
import { fusePenalisedPublish } from './fuse-penalised-publish.ts'
import { fusePenalisedSample } from './fuse-penalised-sample.ts'
import { fuseResidual } from './fuse-residual.ts'
import { fuseRmsNormMatmul } from './fuse-rms-norm-matmul.ts'
import { fuseRopeAttention } from './fuse-rope-attention.ts'
import { fuseRopeKvAppend } from './fuse-rope-kv-append.ts'
import { fuseScaleMaskSoftmax } from './fuse-scale-mask-softmax.ts'
import { fuseSwiglu } from './fuse-swiglu.ts'
import { mergeQkv } from './merge-qkv.ts'
import { ownPass } from './own-pass.ts'
import { type OptLevel, type Pass, type PassRecord, runPasses } from './pass.ts'

/** Each pass with the level from which it runs. */
export const pipeline: readonly (readonly [from: OptLevel, pass: Pass])[] = [
  [1, deadCode], // what nothing reads must not count as a use in the patterns below
  [1, foldConstants], // exposes plain operands to the patterns below
  [1, fuseRopeKvAppend],
  [1, fuseScaleMaskSoftmax], // makes the op that fuse-attention looks for
  [1, fuseSwiglu], // makes the op that fuse-gate-swiglu looks for
  [1, fusePenalisedSample], // model ops alone, as the head of a step has them
  [1, fusePenalisedPublish], // looks for the op that fuse-penalised-sample makes
  [1, fuseEmbedAppend],
  [2, fuseAttention],
  [2, fuseGateSwiglu], // before merge-qkv: it takes its two matmuls, leaving no pair that looks like heads
  [2, mergeQkv],
  [2, fuseResidual], // before fuse-add-rms-norm: an epilogue saves a write of the product, that pass only a read
  [3, fuseAddRmsNorm], // the sums that no matmul could take
  [3, fuseRmsNormMatmul], // after all that merges matmuls or takes a norm: one reader is left then
  [3, fuseRopeAttention], // after all that looks for rope_kv_append or attention
  [1, deadCode], // what fusion left behind
]

const passesAt = (level: OptLevel): Pass[] => pipeline.filter(([from]) => from <= level).map(([, pass]) => pass)

/**
 * Passes of a user's own. A list runs at every level, before ours that fuse: its patterns see the ops that front ends write, of
 * which nothing is dead and no constant is left to fold (from level 1). A function is given ours of the level and returns all.
 */
export type OwnPasses = readonly Pass[] | ((ours: readonly Pass[]) => readonly Pass[])

export interface OptimiseOptions {
  readonly passes?: OwnPasses | undefined
  /** run the graph before and after every pass through the reference executor, on random inputs */
  readonly checkPasses?: boolean | undefined
}

function withOwn(ours: readonly Pass[], own: OwnPasses): readonly Pass[] {
  const first = ours.findIndex((pass) => pass !== deadCode && pass !== foldConstants)
  const at = first < 0 ? ours.length : first
  const all: unknown = typeof own === 'function' ? own(ours) : [...ours.slice(0, at), ...own, ...ours.slice(at)]
  if (!Array.isArray(all)) return fail({ code: 'bad-pass', message: 'the function `passes` gave no list of passes' })
  const known = pipeline.map(([, pass]) => pass)
  return (all as readonly Pass[]).map((pass) => {
    if (known.includes(pass)) return pass
    const checked = ownPass(pass)
    if (known.some(({ name }) => name === checked.name))
      fail({
        code: 'bad-pass',
        message: `a pass of the compiler is called ${checked.name}`,
        help: 'give this one another name',
      })
    return checked
  })
}

/** Runs the passes of a level, and those of a user. */
export function optimise(
  graph: Graph,
  level: OptLevel,
  onPass?: (record: PassRecord) => void,
  { passes = [], checkPasses = false }: OptimiseOptions = {},
): Graph {
  const check = checkPasses ? passChecker() : undefined
  const all = typeof passes !== 'function' && passes.length === 0 ? passesAt(level) : withOwn(passesAt(level), passes)
  const observe =
    check &&
    ((record: PassRecord) => {
      onPass?.(record)
      check(record)
    })
  return runPasses(graph, all, observe ?? onPass)
}

// What is done with logits: penalties, biases, the largest, the k largest, a draw.
import { staticDim } from '../../../ir/op.ts'
import {
  argmax,
  frequencyPenalty,
  logitBias,
  penalisedPublish,
  penalisedSample,
  repeatPenalty,
  sample,
  topk,
} from '../../../ir/ops/index.ts'
import type { Target } from '../../../ir/target.ts'
import { ceilDiv, plus, times } from '../../extent.ts'
import { defineKernel, type KernelSpec, type Params, type Site, type Stage } from '../../kernel.ts'
import { blockSpace } from '../block-space.ts'
import { bytesOf, elementType, rowAlignment, typeAt } from '../layout.ts'

const columns = (site: Site, name: string): number => staticDim(typeAt(site, name), 1)

const fixed = (name: string) => (site: Site, target: Target) => ({
  P_COLUMNS: columns(site, name),
  P_ALIGN: rowAlignment(target, columns(site, name)),
  P_X: elementType(typeAt(site, name).dtype),
})

/** A block of a row, or of the lists of a row, should be large; 1024 threads have too few registers. Emulated threads are better few. */
const space = (target: Target) => ({
  P_BLOCK: blockSpace(target, target.platform === 'host' ? [256, 128] : [512, 1024, 256]),
})

const rows =
  (name: string) =>
  ({ types }: Site) => ({ R: types[name]!.shape[0]! })

// ---- groups of a row: as hip-templates/sample/group.h and draw.h have them ---------------------------------------------

/** Logits of a group, which a wave holds; logits of it that are listed. */
const [group, listed] = [512, 32]
const groups = (site: Site, name: string): number => Math.ceil(columns(site, name) / group)

/** One launch of blocks over rows, one of waves over groups of rows. */
const launches = (name: string) => ({
  byRow: ({ P_BLOCK }: Params, site: Site) => ({ grid: typeAt(site, name).shape[0]!, block: P_BLOCK! }),
  byGroup: ({ P_BLOCK }: Params, site: Site, target: Target) => ({
    grid: ceilDiv(times(typeAt(site, name).shape[0]!, groups(site, name)), P_BLOCK! / target.wave),
    block: P_BLOCK!,
  }),
})

// ---- the largest -------------------------------------------------------------------------------------------------------

export const argmaxKernel = defineKernel({
  implements: argmax,
  template: 'sample/argmax.hip',
  stages: [
    { entry: 'argmax_groups', args: ['bests', 'x', 'R'], launch: launches('x').byGroup },
    { entry: 'argmax_rows', args: ['y', 'bests', 'R'], launch: launches('x').byRow },
  ],
  fixed: fixed('x'),
  space: (target) => ({ P_BLOCK: blockSpace(target, [256, 128, 512]) }),
  scratch: (_, site) => ({ bests: times(typeAt(site, 'x').shape[0]!, groups(site, 'x') * 8) }),
  scalars: rows('x'),
  cost: ({ types }) => ({ bytes: bytesOf(types.x!), flops: times(...types.x!.shape) }),
  tolerance: () => 0,
})

/** Walks over the row until the threshold is found: about 8. */
const walks = 8

export const topkKernel = defineKernel({
  implements: topk,
  template: 'sample/topk.hip',
  args: ['values', 'indices', 'x', 'R'],
  fixed: (site, target) => ({ ...fixed('x')(site, target), P_K: site.attrs.k as number }),
  space,
  scalars: rows('x'),
  launch: launches('x').byRow,
  cost: ({ types }) => ({ bytes: bytesOf(types.x!), flops: times(walks, 8, ...types.x!.shape) }),
  tolerance: () => 0,
})

// ---- a draw ------------------------------------------------------------------------------------------------------------

/** Words of 32 bits that the survey of a request takes. */
const surveyWords = (site: Site): number => Math.ceil((8 + groups(site, 'logits') * (2 * listed + 4)) / 4) * 4
const surveyBytes = (site: Site) => times(typeAt(site, 'logits').shape[0]!, 4 * surveyWords(site))

/** One block walks over the lists: 16 logits a thread of a vocabulary of 128k. Emulated threads are better few. */
const drawSpace = (target: Target) => ({
  P_BLOCK: blockSpace(target, target.platform === 'host' ? [256, 128] : [256, 512, 1024]),
})

const drawCost = ({ types }: Site) => ({ bytes: bytesOf(types.logits!), flops: times(40, ...types.logits!.shape) })
const settings = ['temperature', 'top_k', 'top_p', 'min_p', 'seed'] as const

const sampleArgs = ['survey', 'logits', ...settings, 'positions', 'R'] as const

export const sampleKernel = defineKernel({
  implements: sample,
  template: 'sample/sample.hip',
  stages: [
    { entry: 'sample_survey', args: sampleArgs, launch: launches('logits').byGroup },
    { entry: 'sample_decide', args: ['y', 'survey', 'logits', 'R'], launch: launches('logits').byRow },
  ],
  fixed: fixed('logits'),
  space: drawSpace,
  scratch: (_, site) => ({ survey: surveyBytes(site) }),
  scalars: rows('logits'),
  cost: drawCost,
  tolerance: () => 0,
})

const changes = ['penalty', 'window', 'from', 'frequency', 'presence', 'ids', 'values'] as const
const over = ['history', 'positions', 'page_table'] as const

const penalisedSurvey: Stage = {
  entry: 'penalised_survey',
  args: ['survey', 'changed', 'logits', ...over, ...changes, ...settings, 'R', 'M'],
  launch: launches('logits').byGroup,
}
const penalisedFixed = (site: Site, target: Target) => ({
  ...fixed('logits')(site, target),
  P_PAGE: staticDim(typeAt(site, 'history'), 2),
  P_BIASES: staticDim(typeAt(site, 'ids'), 1),
})
const penalised: Pick<KernelSpec, 'serves' | 'space' | 'scratch' | 'scalars' | 'cost' | 'tolerance'> = {
  serves: (site) => typeAt(site, 'logits').dtype === 'f32' || 'changed logits are kept in f32',
  space: drawSpace,
  scratch: (_, site) => ({ survey: surveyBytes(site), changed: bytesOf(typeAt(site, 'logits')) }),
  scalars: ({ types }) => ({ R: types.logits!.shape[0]!, M: types.page_table!.shape[1]! }),
  cost: drawCost,
  tolerance: () => 0,
}

export const penalisedSampleKernel = defineKernel({
  implements: penalisedSample,
  template: 'sample/penalised_sample.hip',
  stages: [
    penalisedSurvey,
    { entry: 'penalised_decide', args: ['y', 'survey', 'changed', 'R'], launch: launches('logits').byRow },
  ],
  fixed: penalisedFixed,
  ...penalised,
})

export const penalisedPublishKernel = defineKernel({
  implements: penalisedPublish,
  template: 'sample/penalised_sample.hip',
  stages: [
    penalisedSurvey,
    {
      entry: 'publish_decide',
      args: ['token', 'ring', 'next_positions', 'next_step', 'arrivals', 'survey', 'changed', 'positions', 'step', 'R'],
      launch: launches('logits').byRow,
    },
  ],
  fixed: (site, target) => ({ ...penalisedFixed(site, target), P_SLOTS: staticDim(typeAt(site, 'ring'), 0) }),
  ...penalised,
  counters: () => ({ arrivals: 4 }),
})

// ---- changes of a few logits, each by itself ---------------------------------------------------------------------------

const changing = (inputs: readonly string[], scalars: readonly ('R' | 'M')[]): Pick<Stage, 'args' | 'launch'> => ({
  args: ['y', 'logits', ...inputs, ...scalars],
  launch: launches('logits').byGroup,
})
const changeSpace = (target: Target) => ({ P_BLOCK: blockSpace(target, [256, 128, 512]) })
const changeCost = ({ types }: Site) => ({ bytes: plus(bytesOf(types.logits!), bytesOf(types.y!)), flops: 0 })
const changeFixed = (site: Site, target: Target) => ({
  ...fixed('logits')(site, target),
  P_Y: elementType(typeAt(site, 'y').dtype),
})
const pageFixed = (site: Site, target: Target) => ({
  ...changeFixed(site, target),
  P_PAGE: staticDim(typeAt(site, 'history'), 2),
})
const pageScalars = ({ types }: Site) => ({ R: types.logits!.shape[0]!, M: types.page_table!.shape[1]! })

export const repeatPenaltyKernel = defineKernel({
  implements: repeatPenalty,
  template: 'sample/repeat_penalty.hip',
  ...changing([...over, 'penalty', 'window'], ['R', 'M']),
  fixed: pageFixed,
  space: changeSpace,
  scalars: pageScalars,
  cost: changeCost,
  tolerance: () => 4,
})

export const frequencyPenaltyKernel = defineKernel({
  implements: frequencyPenalty,
  template: 'sample/frequency_penalty.hip',
  ...changing([...over, 'from', 'frequency', 'presence'], ['R', 'M']),
  fixed: pageFixed,
  space: changeSpace,
  scalars: pageScalars,
  cost: changeCost,
  tolerance: () => 4,
})

export const logitBiasKernel = defineKernel({
  implements: logitBias,
  template: 'sample/logit_bias.hip',
  ...changing(['ids', 'values'], ['R']),
  fixed: (site, target) => ({ ...changeFixed(site, target), P_BIASES: staticDim(typeAt(site, 'ids'), 1) }),
  space: changeSpace,
  scalars: rows('logits'),
  cost: changeCost,
  tolerance: () => 4,
})

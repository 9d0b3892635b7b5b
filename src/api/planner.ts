// Plans of a model for the device it will run on, made as far as can be while that is looked for.
import { isDeepStrictEqual } from 'node:util'
import { findTarget } from '../../codegen/targets.ts'
import type { Target } from '../../ir/target.ts'
import type { Checkpoint } from '../loader/checkpoint.ts'
import type { CompileSettings } from '../options.ts'
import { createTokenizer } from '../tokenizer/create-tokenizer.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import type { Device } from './device.ts'
import type { DeviceSearch } from './device-search.ts'
import { ModelPlan } from './plan.ts'
import { StepGraphs } from './step-graphs.ts'

/** What follows from a checkpoint and settings alone, each made once, when it is first asked for. */
export class Planner {
  readonly graphs: StepGraphs
  readonly #checkpoint: Checkpoint
  readonly #settings: CompileSettings
  #tokenizer: Tokenizer | undefined

  constructor(checkpoint: Checkpoint, settings: CompileSettings) {
    this.#checkpoint = checkpoint
    this.#settings = settings
    this.graphs = new StepGraphs(checkpoint, settings, settings.onPass)
  }

  tokenizer(): Tokenizer {
    this.#tokenizer ??= createTokenizer(this.#checkpoint.tokenizer)
    return this.#tokenizer
  }

  planFor(target: Target | undefined): ModelPlan {
    return new ModelPlan(this.#checkpoint, this.#settings, target, this.graphs)
  }

  /** The plan for a device that is open: the early one where the target is as was expected. */
  planOn(device: Device, early: ModelPlan | undefined): ModelPlan {
    const target = device.kind === 'device' ? device.target : undefined
    return early && target && isDeepStrictEqual(early.target, target) ? early : this.planFor(target)
  }
}

/**
 * What can be done while a GPU is looked for and woken: graphs as any GPU needs them, then programs for the one that was
 * found, then the tokenizer. Undefined where nothing was left to wait for, or there is no GPU. The device's own steps begin at
 * turns in between, so what keeps this thread longest comes last.
 */
export async function planMeanwhile({ awake, found }: DeviceSearch, planner: Planner): Promise<ModelPlan | undefined> {
  let isOver = false
  awake.finally(() => {
    isOver = true
  })
  const kinds = ['sample', 'decode'] as const
  await turn()
  if (isOver) return undefined
  for (const kind of kinds) {
    planner.graphs.get(kind, 1, true)
    await turn()
  }
  const { library, properties } = await found
  if (!library || !properties) return undefined // no GPU
  const plan = planner.planFor(findTarget(properties.targetId))
  for (const kind of kinds) {
    await turn()
    plan.program(kind)
  }
  await turn()
  planner.tokenizer()
  return plan
}

/** Lets everything that waits for this thread have its turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

// StepGraphs: the graphs of a model's steps, each made when it is first asked for. They depend on the kind of device, not on
// which it is: they can be made while a GPU's runtime is still waking up.
import type { PassRecord } from '../../passes/pass.ts'
import { type StepGraph, type StepKind, stepGraph } from '../engine/programs.ts'
import type { ModelSource } from '../loader/checkpoint.ts'
import type { CompileSettings } from '../options.ts'

export class StepGraphs {
  readonly #checkpoint: ModelSource
  readonly #settings: CompileSettings
  readonly #onPass: ((kind: StepKind, record: PassRecord) => void) | undefined
  readonly #made = new Map<string, StepGraph>()

  constructor(
    checkpoint: ModelSource,
    settings: CompileSettings,
    onPass?: (kind: StepKind, record: PassRecord) => void,
  ) {
    this.#checkpoint = checkpoint
    this.#settings = settings
    this.#onPass = onPass
  }

  /** Of a step for `batch` requests. Where the options leave the cache's dtype open, a GPU gets f16, others f32. */
  get(kind: StepKind, batch: number, onGpu: boolean): StepGraph {
    const key = `${kind} ${batch} ${onGpu}`
    const known = this.#made.get(key)
    if (known) return known
    const { activations, kvDtype, pageSize, optLevel, passes, checkPasses } = this.#settings
    const made = stepGraph(
      this.#checkpoint,
      kind,
      { activations, kvDtype: kvDtype === 'f8' ? 'f8_e4m3' : (kvDtype ?? (onGpu ? 'f16' : 'f32')), pageSize },
      optLevel,
      this.#onPass && ((record) => this.#onPass!(kind, record)),
      batch,
      { passes, checkPasses },
    )
    this.#made.set(key, made)
    return made
  }
}

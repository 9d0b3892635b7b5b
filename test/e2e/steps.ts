// A model's steps one by one, below the engine: what a test needs to compare logits of prefill and of decode.
import { DeviceModel } from '../../runtime/execute/device-model.ts'
import { openDevice } from '../../src/api/device.ts'
import { ModelPlan } from '../../src/api/plan.ts'
import { ReferenceStepper } from '../../src/engine/reference-stepper.ts'
import { samplerInputs } from '../../src/engine/sampler-inputs.ts'
import { greedy } from '../../src/engine/stepper.ts'
import { decodedWeights, weightSource } from '../../src/engine/weight-values.ts'
import { openCheckpoint } from '../../src/loader/checkpoint.ts'
import { knownArchitectures } from '../../src/models/index.ts'
import { type CompileOptions, compileOptions, readOptions } from '../../src/options.ts'

export interface Steps extends AsyncDisposable {
  readonly vocabSize: number
  readonly chunk: number
  /** logits behind the last of `tokens`, which follow `position` tokens that the cache holds */
  prefill(tokens: readonly number[], position: number): Promise<Float32Array>
  /** logits behind `token`, by the program of decode steps */
  decode(token: number, position: number): Promise<Float32Array>
}

export async function openSteps(
  path: string,
  options: CompileOptions & { readonly pages?: readonly number[] },
): Promise<Steps> {
  const { pages: chosen, ...rest } = options
  const settings = readOptions(compileOptions, rest)
  const checkpoint = await openCheckpoint(path, { architectures: knownArchitectures, context: settings.context })
  const device = typeof settings.device === 'string' ? await openDevice(settings.device) : settings.device
  const plan = new ModelPlan(checkpoint, settings, device.kind === 'device' ? device.target : undefined)
  const pages = chosen ?? Array.from({ length: plan.pages }, (_, page) => page)
  const { chunk, pageSize } = plan
  const common = { vocabSize: checkpoint.config.vocabSize, chunk }
  if (device.kind === 'reference') {
    const stepper = new ReferenceStepper({
      graph: (kind) => plan.fused(kind),
      weight: decodedWeights(checkpoint),
      chunk,
      pageSize,
      pages: plan.pages,
      maxBatch: plan.maxBatch,
    })
    const logits = (tokens: readonly number[], position: number) =>
      stepper.logits({ tokens, position, pages, sampler: greedy })
    return {
      ...common,
      prefill: logits,
      decode: (token, position) => logits([token], position),
      [Symbol.asyncDispose]: () => checkpoint[Symbol.asyncDispose](),
    }
  }
  const model = new DeviceModel({
    driver: device.driver,
    compiler: device.compiler,
    weights: weightSource(checkpoint),
    bindings: plan.bindings,
  })
  const [sampling, decoding] = await model.load([
    { program: plan.program('sample') },
    { program: plan.program('decode') },
  ])
  const run = async (executable: NonNullable<typeof sampling>, tokens: readonly number[], position: number) => {
    executable.setInput('tokens', tokens)
    executable.setInput(
      'positions',
      tokens.map((_, i) => position + i),
    )
    executable.setInput('page_table', pages)
    if (executable.hasInput('last')) executable.setInput('last', [tokens.length - 1])
    for (const [name, values] of Object.entries(samplerInputs([greedy]))) executable.setInput(name, values)
    executable.sendInputs()
    executable.run({ T: tokens.length, L: position + tokens.length })
    return (await executable.read('logits')).data as Float32Array
  }
  return {
    ...common,
    prefill: (tokens, position) => run(sampling!, tokens, position),
    decode: (token, position) => run(decoding!, [token], position),
    async [Symbol.asyncDispose]() {
      model[Symbol.dispose]()
      device[Symbol.dispose]()
      await checkpoint[Symbol.asyncDispose]()
    },
  }
}

/** Logits behind each token of a run: the first `prompt` tokens in chunks (the last of each chunk), the rest one by one. */
export async function runSteps(
  steps: Steps,
  tokens: readonly number[],
  prompt: number,
): Promise<Map<number, Float32Array>> {
  const logits = new Map<number, Float32Array>()
  for (let at = 0; at < prompt; at += steps.chunk) {
    const part = tokens.slice(at, Math.min(at + steps.chunk, prompt))
    logits.set(at + part.length - 1, await steps.prefill(part, at))
  }
  for (let at = prompt; at < tokens.length; at++) logits.set(at, await steps.decode(tokens[at]!, at))
  return logits
}

/** Largest difference, relative to the largest logit where that is above 1; infinite where a value is no number. */
export function distance(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let [most, scale] = [0, 1]
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!)
    if (!(difference <= most)) most = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference
    scale = Math.max(scale, Math.abs(b[i]!))
  }
  return most / scale
}

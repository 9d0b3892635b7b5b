// A benchmark from beginning to end: device, read bandwidth, then for every batch size load, prefill and decode. What was
// measured before an interruption or an error is kept.
import { fail } from '../../ir/diagnostic.ts'
import { targetId } from '../../ir/target.ts'
import { product } from '../../ir/type.ts'
import { memoryNeeds } from '../../runtime/execute/device-model.ts'
import { RandomFill } from '../../runtime/execute/random-fill.ts'
import type { WeightSource } from '../../runtime/execute/weights.ts'
import { measureReadBandwidth } from '../../runtime/inspect/read-bandwidth.ts'
import { openDevice } from '../api/device.ts'
import type { ModelPlan } from '../api/plan.ts'
import { weightSource } from '../engine/weight-values.ts'
import { type ModelSource, openCheckpoint } from '../loader/checkpoint.ts'
import type { ModelConfig } from '../loader/model-config.ts'
import { knownArchitectures } from '../models/index.ts'
import { readOptions } from '../options.ts'
import { weightBytesRead } from './bytes.ts'
import { fitContexts } from './cases.ts'
import { plainFileRead } from './file-read.ts'
import { LaunchTimer } from './launch-timer.ts'
import { measureDecode, measurePrefill } from './measure.ts'
import { type BenchWeights, filledTypes, randomModel, randomWeightSource } from './random-model.ts'
import { type BenchResult, type ModelDims, resultVersion } from './result.ts'
import { type BenchDevice, openSession, planFor, programsOf } from './session.ts'
import { type BenchOptions, type BenchSettings, benchOptions } from './settings.ts'

/** A checkpoint on disk, or a shape with random weights. */
export type BenchModel = { readonly path: string } | { readonly shape: string; readonly weights: BenchWeights }

interface BenchEvents {
  /** what is being done now */
  readonly onStatus?: (text: string) => void
  /** something was measured, and `result` holds it */
  readonly onResult?: (result: BenchResult) => void
  readonly signal?: AbortSignal
}

const gib = 2 ** 30

/**
 * Memory read for the yardstick: as much as the model has, but on a GPU so much that no cache holds it, on the host no more
 * than takes a moment, and not more than is free.
 */
function readBytes(modelBytes: number, freeBytes: number, onHost: boolean): number {
  const wanted = onHost ? Math.min(gib, modelBytes) : Math.max(gib, modelBytes)
  return Math.max(2 ** 16, Math.min(wanted, Math.floor(freeBytes * (onHost ? 0.25 : 0.6))))
}

/**
 * Measures a model. An abort of `events.signal` ends it early: the result then holds what was measured, `interrupted` set.
 * Diagnostics: those of compiling and loading, `out-of-memory` when nothing asked for fits, `no-bench` without a device.
 */
export async function bench(
  what: BenchModel,
  version: string,
  options: BenchOptions = {},
  events: BenchEvents = {},
): Promise<BenchResult> {
  const settings = readOptions(benchOptions, options)
  await using opened = await openModel(what)
  const { model } = opened
  using timer = new LaunchTimer()
  const kernels = { total: 0, fromCache: 0 }
  const device = await openDevice(typeof settings.device === 'string' ? settings.device : settings.device.id, {
    wrapCalls: (calls) => timer.wrap(calls),
    onProgress({ done, total, fromCache, label }) {
      events.onStatus?.(`kernels ${done}/${total}, ${fromCache} from cache: ${label}`)
      if (done !== total) return
      kernels.total += total
      kernels.fromCache += fromCache
    },
  })
  using _ = { [Symbol.dispose]: () => releaseDevice(timer, device) }
  if (device.kind !== 'device')
    return fail({
      code: 'no-bench',
      message: 'the reference executor is not measured: it is exact and slow',
      facts: device.reason ? [['why it is used', device.reason]] : [],
      help: 'rocmforge devices lists what can be measured',
    })
  const bench: BenchDevice = { device, timer, kernels }
  const result: BenchResult = {
    version: resultVersion,
    rocmforge: version,
    node: process.version,
    device: { id: device.id, name: device.name, target: targetId(device.target) },
    model: {
      path: model.path,
      architecture: model.config.architecture,
      random: 'shape' in what,
      parameters: [...model.weights].reduce((sum, { shape }) => sum + product(shape), 0),
      weightBytes: model.weights.bytes,
      weights: model.config.weightDtype,
      dims: dimsOf(model.config),
    },
    options: { ...settings, device: device.id },
    readBandwidth: null,
    plainFileRead: null,
    loads: [],
    prefill: [],
    decode: [],
    skipped: [],
    notes: [],
    interrupted: false,
  }
  try {
    await measureAll(bench, model, opened.files, settings, result, events)
  } catch (error) {
    if (!events.signal?.aborted) throw error
    result.interrupted = true
  }
  return result
}

async function measureAll(
  bench: BenchDevice,
  model: ModelSource,
  files: readonly string[],
  settings: BenchSettings,
  result: BenchResult,
  { onStatus, onResult, signal }: BenchEvents,
): Promise<void> {
  const { device } = bench
  const { driver } = device
  const { rounds, tokens } = settings
  const note = (text: string) => result.notes.push(text)
  const beyond = tokens + 1
  const batches = [...new Set(settings.batch)].sort((a, b) => a - b)
  const plans = new Map<string, ModelPlan>() // the graph of a large model takes a while
  const planAt = (batch: number, capacity: number): ModelPlan => {
    const key = `${batch} ${capacity}`
    const plan = plans.get(key) ?? planFor(model, settings, device, batch, capacity)
    plans.set(key, plan)
    return plan
  }
  onStatus?.('making graphs and programs')
  const largest = Math.max(settings.prompt, Math.max(...settings.contexts) + beyond)
  const modelBytes = weightBytesRead(planAt(batches[0]!, largest).program('decode'))

  onStatus?.('reading memory')
  const yardstick = await measureReadBandwidth(
    device,
    readBytes(modelBytes, driver.memoryInfo().freeBytes, driver.sharesHostMemory),
    signal,
  )
  result.readBandwidth = { gbPerSecond: yardstick.bytesPerSecond / 1e9, bytes: yardstick.bytes }
  if (files.length > 0) {
    onStatus?.(`reading ${files.length === 1 ? 'the file' : `${files.length} files`}`)
    result.plainFileRead = await plainFileRead(files, signal)
  }
  onResult?.(result)
  using fill = result.model.random ? await RandomFill.create(device, filledTypes(model), signal) : undefined
  const weights: WeightSource = fill ? randomWeightSource(model, fill) : weightSource(model)

  let prefilled = settings.prompt === 0
  for (const batch of batches) {
    const atLeast = prefilled ? 0 : settings.prompt
    const { contexts, capacity, skipped } = fitContexts(
      batch,
      settings.contexts,
      { beyond, atLeast },
      driver.memoryInfo().freeBytes,
      (wanted) => memoryNeeds(programsOf(planAt(batch, wanted))),
    )
    result.skipped.push(...skipped)
    if (contexts.length === 0) continue
    onStatus?.(`batch ${batch}: loading`)
    using session = await openSession(bench, model, weights, planAt(batch, capacity), settings, {
      onNote: note,
      onWeights: ({ bytes, totalBytes }) => onStatus?.(`weights ${((100 * bytes) / totalBytes).toFixed(0)} %`),
      ...(signal ? { signal } : {}),
    })
    result.loads.push(session.load)
    onResult?.(result)
    const measuring = { bench, session, config: model.config, signal }
    if (!prefilled) {
      onStatus?.(`prefill of ${settings.prompt} tokens`)
      result.prefill.push(await measurePrefill(measuring, settings.prompt, rounds))
      prefilled = true
      onResult?.(result)
    }
    for (const context of contexts) {
      onStatus?.(`batch ${batch}, context ${context}: decoding ${rounds} × ${tokens} tokens`)
      const readBytesPerSecond = yardstick.bytesPerSecond
      result.decode.push(await measureDecode(measuring, context, { tokens, rounds, readBytesPerSecond }))
      onResult?.(result)
    }
  }
  if (result.decode.length === 0)
    fail({
      code: 'out-of-memory',
      message: `nothing that was asked for fits into the memory of ${device.name}`,
      facts: result.skipped.map(
        ({ context, batch, reason }) => [`context ${context}, batch ${batch}`, reason] as const,
      ),
      help: 'lower --contexts or --batch, or choose weights of fewer bits',
    })
}

const dimsOf = (config: ModelConfig): ModelDims => ({
  hidden: config.hidden,
  layers: config.layers,
  ffn: config.ffn,
  heads: config.heads,
  kvHeads: config.kvHeads,
  headDim: config.headDim,
  vocab: config.vocabSize,
  tiedEmbeddings: config.tiedEmbeddings,
  qkNorm: config.qkNorm,
  attentionBias: config.attentionBias,
  ropeTheta: config.rope.theta,
  normEps: config.normEps,
})

interface OpenModel extends AsyncDisposable {
  readonly model: ModelSource
  readonly files: readonly string[]
}

async function openModel(what: BenchModel): Promise<OpenModel> {
  if ('shape' in what) {
    const model = randomModel(what.shape, what.weights)
    return { model, files: [], [Symbol.asyncDispose]: async () => {} }
  }
  const checkpoint = await openCheckpoint(what.path, { architectures: knownArchitectures })
  const files = [...new Set([...checkpoint.weights].map(({ file }) => file))]
  return { model: checkpoint, files, [Symbol.asyncDispose]: () => checkpoint[Symbol.asyncDispose]() }
}

/** The timer's events are the driver's: they go first. */
function releaseDevice(timer: LaunchTimer, device: Disposable): void {
  timer[Symbol.dispose]()
  device[Symbol.dispose]()
}

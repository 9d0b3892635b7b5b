// Checkpoint → Model: open, lower, fuse, choose kernels, compile, load. The whole way on one page.
import { fail } from '../../ir/diagnostic.ts'
import { at, callSite } from '../call-site.ts'
import { type Checkpoint, openCheckpoint } from '../loader/checkpoint.ts'
import { knownArchitectures } from '../models/index.ts'
import { type CompileOptions, type CompileSettings, compileOptions, readOptions } from '../options.ts'
import { type Device, openDevice } from './device.ts'
import { type DeviceSearch, searchDevice } from './device-search.ts'
import { checkPath, describeModel, type ModelInfo } from './inspect.ts'
import { Model, type ModelParts, releaseAll } from './model.ts'
import { Planner, planMeanwhile } from './planner.ts'
import { createStepper } from './steppers.ts'

/**
 * Opens a checkpoint (a Hugging Face folder or a GGUF file), compiles it for a device and loads its weights. Errors:
 * `bad-option`, `bad-argument`, and those of files, devices and compilers.
 * @example await using model = await compile('models/story-3m', { device: 'auto', context: 2048 })
 */
export function compile(path: string, options: CompileOptions = {}): Promise<Model> {
  return at(callSite(compile), async () => new Model(await compileParts(path, options)))
}

/** What a Model is made of, for those who run steps themselves; whoever takes it releases `owned`, the last first. */
export async function compileParts(path: string, options: CompileOptions = {}): Promise<ModelParts> {
  const settings = readSettings(path, options)
  const given = settings.device
  // a GPU's runtime takes its time to say what is there and to open it: files are read and kernels chosen meanwhile
  const search = typeof given === 'string' ? searchDevice(given) : undefined
  const owned: (Disposable | AsyncDisposable)[] = []
  try {
    const checkpoint = await openCheckpoint(path, { architectures: knownArchitectures, context: settings.context })
    owned.push(checkpoint)
    const info = reportModel(checkpoint, settings)
    const planner = new Planner(checkpoint, settings)
    const early = search ? await planMeanwhile(search, planner) : undefined
    const tokenizer = planner.tokenizer()
    const device = await deviceOf(settings, search)
    if (device !== given) owned.push(device)
    settings.onDevice?.(device)
    const plan = planner.planOn(device, early)
    settings.onPlan?.(plan)
    const stepper = await createStepper(checkpoint, plan, device, settings)
    owned.push(stepper)
    const chatTemplate = settings.chatTemplate ?? info.chatTemplate
    return { checkpoint, device, tokenizer, chatTemplate, stepper, plan, owned }
  } catch (error) {
    search?.cancel()
    await releaseAll(owned)
    throw error
  }
}

/** The options with defaults in place. Diagnostics `bad-option`, `bad-argument`. */
function readSettings(path: string, options: CompileOptions): CompileSettings {
  const settings = readOptions(compileOptions, options)
  checkPath(path)
  settings.signal?.throwIfAborted()
  if (typeof settings.device === 'object' && settings.saveTemps !== undefined)
    fail({
      code: 'bad-option',
      message: 'option saveTemps is not valid: the device is open already',
      help: 'openDevice takes it',
    })
  return settings
}

function reportModel(checkpoint: Checkpoint, { onModel, onNote, context }: CompileSettings): ModelInfo {
  const info = describeModel(checkpoint)
  onModel?.(info)
  for (const note of checkpoint.notes) onNote?.(note)
  if (context !== undefined && context > info.contextLength)
    onNote?.(
      `a context of ${context} tokens: the model was made for ${info.contextLength}, and may write nonsense behind them`,
    )
  return info
}

/** The device that the caller opened, or the one that was searched for, opened. */
async function deviceOf(settings: CompileSettings, search: DeviceSearch | undefined): Promise<Device> {
  if (typeof settings.device === 'object') return settings.device
  const { selfCheck, onKernels, onCompiled, saveTemps } = settings
  await search?.awake
  const device = await openDevice(settings.device, {
    selfCheck,
    ...(search ? { found: search.found } : {}),
    ...(onKernels ? { onProgress: onKernels } : {}),
    ...(onCompiled ? { onCompiled } : {}),
    ...(saveTemps ? { saveTemps } : {}),
  })
  search?.release() // the driver holds the context now
  return device
}

// Every option of a user, with its default and unit: the script API and the command line read them from here.
import { z } from 'zod'
import type { KernelSpec } from '../codegen/kernel.ts'
import { optLevels } from '../passes/pass.ts'
import type { OwnPasses } from '../passes/pipeline.ts'
import type { Device } from './api/device.ts'
import { biasSlots } from './models/step.ts'
import type { ChatOptions, CompileEvents, CompileOptions, GenerateOptions, LogitsOptions } from './option-types.ts'

export type {
  ChatOptions,
  CompileOptions,
  GenerateOptions,
  KernelOptions,
  LogitsOptions,
} from './option-types.ts'
export { readOptions } from './read-options.ts'

const positive = z.int().positive()

/** Is this a device that `openDevice` gave? */
export const isOpenDevice = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'kind' in value && Symbol.dispose in value

const isSignal = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value
const isFunction = (value: unknown): boolean => typeof value === 'function'
const isRecord = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A function that is called as things happen. */
const event = <F>() => z.custom<F>(isFunction, 'expected a function').optional()

export const signalOption = z.custom<AbortSignal>(isSignal, 'expected an AbortSignal').optional()
const endsCall = signalOption.describe('an AbortSignal: ends the call, which rejects with the signal’s reason')
export const saveTempsOption = z
  .string()
  .min(1)
  .optional()
  .describe('folder for source, object and log of every kernel')
const chatTemplate = z.string().min(1).optional()

/** What `compile` and `compileGraph` take from a user's own folder. */
export const extensionOptions = {
  passes: z
    .custom<OwnPasses>((value) => Array.isArray(value) || isFunction(value), 'expected a list of passes, or a function')
    .default([])
    .describe('passes of your own (rewritePass), before ours that fuse; or a function of ours that gives all'),
  kernels: z
    .custom<readonly KernelSpec[]>(Array.isArray, 'expected a list of kernels')
    .default([])
    .describe('kernels of your own (defineKernel), preferred to ours, the first most'),
  checkPasses: z
    .boolean()
    .default(false)
    .describe('run the graph before and after every pass through the reference executor, on random inputs'),
}

/** Which kernels a model becomes: what compiling here and ahead of time share. */
export const kernelOptions = z.strictObject({
  optLevel: z.literal(optLevels).default(3).describe('fusion: 0 none … 3 all'),
  context: positive.optional().describe('tokens of the KV cache; default: what the model was made for, at most 8192'),
  kvDtype: z
    .enum(['f32', 'f16', 'bf16', 'q8_0', 'f8'])
    .optional()
    .describe(
      'dtype of the KV cache (q8_0: 8 bits and a scale of 32; f8: e4m3); default: f16 on a GPU, f32 on the CPU',
    ),
  activations: z.enum(['f32', 'f16', 'bf16']).default('f32').describe('dtype of activations between kernels'),
  pageSize: positive.default(16).describe('tokens a page of the KV cache'),
  maxBatch: positive
    .max(32)
    .default(1)
    .describe('generations that share decode steps, each with a whole context of KV cache, 1 to 32; more wait'),
  chunk: positive.default(256).describe('prompt tokens a step'),
  step: z
    .enum(['kernels', 'persistent'])
    .default('kernels')
    .describe('decode steps as a launch a kernel, or as one launch whose blocks stay'),
  stepBlock: positive.optional().describe('threads of a block of a persistent step; default: as the device likes'),
  ...extensionOptions,
  saveTemps: saveTempsOption,
  signal: endsCall,
})

export const compileOptions = z.strictObject({
  device: z
    .union([z.string().min(1), z.custom<Device>(isOpenDevice, 'expected an open device')])
    .default('auto')
    .describe(
      'auto, amd:0, nvidia:0, gfx1100, sm_90, a UUID, host, reference; or an open device, which stays the caller’s',
    ),
  ...kernelOptions.shape,
  selfCheck: z.boolean().default(false).describe('check each kernel once on the device against its reference'),
  replay: z.boolean().default(true).describe('replay decode steps as one captured graph where that proves right'),
  chatTemplate: chatTemplate.describe('Jinja text to lay out conversations by, instead of the model’s own'),
  onModel: event<NonNullable<CompileEvents['onModel']>>().describe(
    'called when the model’s headers are read, before anything is compiled or loaded; what it throws ends the call',
  ),
  onDevice: event<NonNullable<CompileEvents['onDevice']>>().describe('called when the device is open'),
  onPass: event<NonNullable<CompileEvents['onPass']>>().describe('called after each pass over a step’s graph'),
  onPlan: event<NonNullable<CompileEvents['onPlan']>>().describe(
    'called when graphs and programs can be asked for, nothing is compiled yet',
  ),
  onKernels: event<NonNullable<CompileEvents['onKernels']>>().describe(
    'called when a kernel comes from the compiler or the cache; later too, when a step is first needed',
  ),
  onCompiled: event<NonNullable<CompileEvents['onCompiled']>>().describe(
    'called when a program’s kernels are there, before they are loaded',
  ),
  onWeights: event<NonNullable<CompileEvents['onWeights']>>().describe('called while weights are loaded'),
  onNote: event<NonNullable<CompileEvents['onNote']>>().describe('called with things worth knowing that are no errors'),
})
/** Options of `compile` as they are used: defaults in place. */
export type CompileSettings = z.output<typeof compileOptions>

export const generateOptions = z.strictObject({
  maxTokens: z.int().nonnegative().default(256).describe('tokens to generate at most'),
  temperature: z.number().min(0).max(100).optional().describe('0, the default: always the likeliest token'),
  topK: z
    .int()
    .nonnegative()
    .optional()
    .describe('keep the k likeliest tokens; 0: all; default: as the model says, else 0'),
  topP: z
    .number()
    .positive()
    .max(1)
    .optional()
    .describe('keep the likeliest tokens up to this probability; default: as the model says, else 1'),
  minP: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('keep tokens at least this fraction as likely as the likeliest; default: as the model says, else 0'),
  repeatPenalty: z
    .number()
    .positive()
    .max(100)
    .optional()
    .describe(
      'divide positive logits of tokens among the last repeatLastN, multiply negative ones; default: as the model says, else 1',
    ),
  repeatLastN: z
    .int()
    .min(-1)
    .max(0x7fffffff)
    .default(64)
    .describe('tokens that repeatPenalty looks back, prompt included; 0: none, -1: all'),
  frequencyPenalty: z
    .number()
    .min(-2)
    .max(2)
    .default(0)
    .describe('take this off the logit of a token for each time that it was generated; the prompt does not count'),
  presencePenalty: z
    .number()
    .min(-2)
    .max(2)
    .default(0)
    .describe('take this off the logit of every token that was generated; the prompt does not count'),
  logitBias: z
    .record(z.string().regex(/^\d{1,9}$/, 'token ids as keys, whole numbers'), z.number().min(-100).max(100))
    .refine((biases) => Object.keys(biases).length <= biasSlots, `at most ${biasSlots} tokens`)
    .default({})
    .describe('token id → number from -100 to 100 that is added to its logit, for at most 256 tokens'),
  seed: z.int().min(0).max(0xffffffff).optional().describe('the same seed gives the same text; default: random'),
  stop: z
    .union([z.string().min(1), z.array(z.string().min(1)).max(16).readonly()])
    .default([])
    .describe('texts that end the generation'),
  ignoreEos: z.boolean().default(false).describe('go on behind tokens that end a text'),
  addBos: z
    .boolean()
    .optional()
    .describe('begin a text with the beginning-of-sequence token; default: as the model says'),
  parseSpecial: z
    .boolean()
    .default(false)
    .describe('special tokens that a text spells, such as `<|eos|>`, are tokens; else they are plain text'),
  signal: signalOption.describe(
    'an AbortSignal: ends the generation behind the current step; the result keeps what was made',
  ),
})
export type GenerateSettings = z.output<typeof generateOptions>

/** Variables of a chat template that are never a user's. */
const ownVariables = ['messages', 'tools', 'add_generation_prompt', 'bos_token', 'eos_token']

/** What `chat` takes beside the sampler's: a chat template places the special tokens itself. */
const templateOptions = {
  tools: z
    .array(z.custom<object>(isRecord, 'expected an object'))
    .readonly()
    .default([])
    .describe('functions that the model may call, as JSON schemas in the form of the OpenAI API'),
  chatTemplate: chatTemplate.describe('Jinja text to lay out the conversation by; default: the model’s own'),
  chatTemplateKwargs: z
    .custom<Readonly<Record<string, unknown>>>(isRecord, 'expected an object')
    .refine((variables) => !ownVariables.some((name) => Object.hasOwn(variables, name)), {
      message: `${ownVariables.join(', ')} come from the conversation, the options and the model`,
    })
    .default({})
    .describe('further variables of the template by name: `{ enable_thinking: false }`'),
  addGenerationPrompt: z.boolean().default(true).describe('end the prompt with the opening of the assistant’s turn'),
}
export const chatOptions = generateOptions.omit({ addBos: true, parseSpecial: true }).extend(templateOptions)

export const logitsOptions = z.strictObject({
  all: z.boolean().default(false).describe('logits behind each token, not behind the last alone'),
  signal: endsCall,
})

/** Compiles only if what an editor shows is what is checked. */
type Same<A, B> = [A, B] extends [B, A] ? true : { readonly shown: A; readonly checked: B }
const holds = <_ extends true>(): void => {}
holds<Same<CompileOptions, Readonly<z.input<typeof compileOptions>>>>()
holds<Same<GenerateOptions, Readonly<z.input<typeof generateOptions>>>>()
holds<Same<ChatOptions, Readonly<z.input<typeof chatOptions>>>>()
holds<Same<LogitsOptions, Readonly<z.input<typeof logitsOptions>>>>()

// Every option of a user, with its default and unit: the script API and the command line read them from here.
import { z } from 'zod'
import type { KernelSpec } from '../codegen/kernel.ts'
import { fail } from '../ir/diagnostic.ts'
import { optLevels } from '../passes/pass.ts'
import type { OwnPasses } from '../passes/pipeline.ts'
import type { Device } from './api/device.ts'
import { biasSlots } from './models/step.ts'

const positive = z.int().positive()

/** Is this a device that `openDevice` gave? */
export const isOpenDevice = (value: unknown): boolean => typeof value === 'object' && value !== null && 'kind' in value

const isFunction = (value: unknown): boolean => typeof value === 'function'

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

export const compileOptions = z.strictObject({
  device: z
    .union([z.string(), z.custom<Device>(isOpenDevice)])
    .default('auto')
    .describe(
      'auto, amd:0, nvidia:0, gfx1100, sm_90, a UUID, host, reference; or an open device, which stays the caller’s',
    ),
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
    .describe('generations that run at the same time, each with a whole context of KV cache'),
  chunk: positive.default(256).describe('prompt tokens a step'),
  selfCheck: z.boolean().default(false).describe('check each kernel once on the device against its reference'),
  step: z
    .enum(['kernels', 'persistent'])
    .default('kernels')
    .describe('decode steps as a launch a kernel, or as one launch whose blocks stay'),
  stepBlock: positive.optional().describe('threads of a block of a persistent step; default: as the device likes'),
  replay: z.boolean().default(true).describe('replay decode steps as one captured graph where that proves right'),
  ...extensionOptions,
})
export type CompileOptions = z.input<typeof compileOptions>
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
    .record(z.string().regex(/^\d{1,9}$/, 'a key is a token id'), z.number().min(-100).max(100))
    .refine((biases) => Object.keys(biases).length <= biasSlots, `at most ${biasSlots} tokens`)
    .default({})
    .describe('token id → number from -100 to 100 that is added to its logit, for at most 256 tokens'),
  seed: z.int().min(0).max(0xffffffff).optional().describe('the same seed gives the same text; default: random'),
  stop: z
    .union([z.string(), z.array(z.string()).max(16)])
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
})
/** A chat template places the special tokens itself. */
export const chatOptions = generateOptions.omit({ addBos: true, parseSpecial: true })
export type GenerateOptions = z.input<typeof generateOptions>
export type GenerateSettings = z.output<typeof generateOptions>
export type ChatOptions = z.input<typeof chatOptions>
export type ChatSettings = z.output<typeof chatOptions>

/** Options checked at the border; the Diagnostic names the option, what it may be and what it was. */
export function readOptions<S extends z.ZodObject>(schema: S, given: unknown): z.output<S> {
  const parsed = schema.safeParse(given ?? {})
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  const name = issue.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue.path.join('.')
  const about = (schema.shape[String(issue.path[0])] as z.ZodType | undefined)?.description
  return fail({
    code: 'bad-option',
    message:
      issue.code === 'unrecognized_keys'
        ? `there is no option ${name}`
        : `option ${name} is not valid: ${issue.message}`,
    facts: about ? [['option', `${name}: ${about}`]] : [],
    ...(issue.code === 'unrecognized_keys' ? { help: `options are ${Object.keys(schema.shape).join(', ')}` } : {}),
  })
}
